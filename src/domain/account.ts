export type Role = "Admin" | "User";

/** Who may call the server. */
export interface Account {
  /** Never given again. */
  readonly id: number;
  readonly name: string;
  readonly role: Role;
  /** App names, or prefixes as `shop-*`, that a User may touch. */
  readonly apps: readonly string[];
  readonly rke: boolean;
  readonly enabled: boolean;
}
