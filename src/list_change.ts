/**
 * Changes of the list of nodes, in words: for the log, for `status` and for `dks client member`.
 *
 * @module
 */

import type { ListChange, MemberChange } from "./two_phase/messages.ts";

/** Says what somebody asks for: "add n6:5000". */
export function describeAsked(change: MemberChange): string {
  switch (change.kind) {
    case "add":
      return `add ${change.name}`;
    case "remove":
      return `remove ${change.name}`;
    case "replace":
      return `replace ${change.replaces} by ${change.name}`;
    case "cancel":
      return `call off the addition of ${change.name}`;
  }
}

/** Says what has changed in the list: "n6:5000 counts now, in the place of n2:5000". */
export function describeChange({ kind, name, replaces }: ListChange): string {
  switch (kind) {
    case "add":
      return `${name} is being added`;
    case "replace":
      return `${name} is being added, to replace ${replaces ?? ""}`;
    case "admit":
      return replaces === undefined
        ? `${name} was added, and counts`
        : `${name} was added, and counts; ${replaces}, which it replaces, was removed`;
    case "remove":
      return `${name} was removed`;
    case "cancel":
      return `the addition of ${name} was called off`;
  }
}

/** Says who asked for a change, and when. */
export function describeAsker({ by, at }: Pick<ListChange, "by" | "at">): string {
  return `${by} asked for it at ${new Date(at).toISOString()}`;
}
