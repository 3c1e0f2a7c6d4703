/** Of the library, what is used here; it brings no types. */
declare module "sodium-native" {
  const sodium: {
    sodium_malloc(size: number): Buffer;
    /** Throws if the system refuses. */
    sodium_mlock(buffer: Buffer): void;
  };
  export default sodium;
}
