/** A value that may be there already: a promise costs more than all else a cached read does. */
export type Awaitable<T> = T | Promise<T>;

/** `next` of the value: at once if it is there, else when it is. */
export function then<T, U>(value: Awaitable<T>, next: (value: T) => Awaitable<U>): Awaitable<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
