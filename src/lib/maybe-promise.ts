/** A value that may be there already: a promise costs more than all else a cached read does. */
export type MaybePromise<T> = T | Promise<T>;

/** `next` of the value: at once if it is there, else when it is. */
export function chain<T, U>(
  value: MaybePromise<T>,
  next: (value: T) => MaybePromise<U>,
): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
