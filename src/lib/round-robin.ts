/**
 * Items in nested groups, handed out in rounds: at each level every group gives one item before any
 * of them gives a second. A group that becomes empty is forgotten, and one that begins joins the
 * round at its end, so nobody gains by coming and going.
 */
export interface RoundRobin<T> {
  size(): number;
  /** Adds an item to a group, which `path` names from the outermost level; all paths are as long. */
  push(path: readonly string[], item: T): void;
  /** Takes out the item whose turn it is. */
  shift(): T | undefined;
  /**
   * Takes out the latest item of the largest group, to make room for one of `path`. Undefined, with
   * nothing taken, if no group would stay as large as the one of `path` becomes.
   */
  giveWay(path: readonly string[]): T | undefined;
}

interface Group<T> {
  size: number;
  /** In the order of their turns. */
  readonly groups: Map<string, Group<T>>;
  /** Of an innermost group, in the order in which they came. */
  readonly items: T[];
}

export function createRoundRobin<T>(): RoundRobin<T> {
  const root = newGroup<T>();
  return {
    size: () => root.size,
    push(path, item) {
      let group = root;
      group.size++;
      for (const name of path) {
        const inner = group.groups.get(name) ?? newGroup<T>();
        group.groups.set(name, inner);
        inner.size++;
        group = inner;
      }
      group.items.push(item);
    },
    shift: () => (root.size === 0 ? undefined : takeNext(root)),
    giveWay: (path) => giveWay(root, path),
  };
}

function newGroup<T>(): Group<T> {
  return { size: 0, groups: new Map(), items: [] };
}

function takeNext<T>(group: Group<T>): T | undefined {
  group.size--;
  for (const [name, inner] of group.groups) {
    group.groups.delete(name);
    const item = takeNext(inner);
    if (inner.size > 0) group.groups.set(name, inner);
    return item;
  }
  return group.items.shift();
}

function takeLatest<T>(group: Group<T>): T | undefined {
  group.size--;
  const largest = largestOf(group);
  if (!largest) return group.items.pop();
  const [name, inner] = largest;
  const item = takeLatest(inner);
  if (inner.size === 0) group.groups.delete(name);
  return item;
}

function giveWay<T>(group: Group<T>, [name, ...rest]: readonly string[]): T | undefined {
  const largest = largestOf(group);
  if (name === undefined || !largest) return undefined;
  const own = group.groups.get(name);
  // One more than the newcomer's group would have, or the two would only change places.
  if (largest[1].size > (own?.size ?? 0) + 1) return takeLatest(group);
  const item = own && giveWay(own, rest);
  if (item !== undefined) group.size--;
  return item;
}

/** Of several that are as large, the one whose turn comes last. */
function largestOf<T>({ groups }: Group<T>): [string, Group<T>] | undefined {
  let largest: [string, Group<T>] | undefined;
  for (const entry of groups) {
    if (largest === undefined || entry[1].size >= largest[1].size) largest = entry;
  }
  return largest;
}
