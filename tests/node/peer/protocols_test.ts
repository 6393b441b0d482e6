import { assertEquals } from "@std/assert";
import {
  commonProtocol,
  describeProtocols,
  type SaidProtocols,
  saidProtocols,
} from "../../../src/node/peer/protocols.ts";

const said = (oldest: number, newest: number): SaidProtocols => saidProtocols({ oldest, newest });

Deno.test("commonProtocol() is the newest version that both speak, from either side", () => {
  const table: readonly (readonly [SaidProtocols, SaidProtocols, number | undefined])[] = [
    [said(8, 8), said(8, 8), 8],
    [said(8, 9), said(8, 9), 9],
    [said(8, 9), said(8, 8), 8],
    [said(8, 9), said(9, 10), 9],
    [said(8, 9), said(7, 8), 8],
    [said(8, 9), said(10, 11), undefined],
    // What a program says that knows of no ranges.
    [said(8, 9), { protocol: 8 }, 8],
    [said(9, 10), { protocol: 8 }, undefined],
    // Nonsense is no version.
    [said(8, 9), { protocol: 9, newestProtocol: 8 }, undefined],
  ];
  for (const [mine, theirs, expected] of table) {
    assertEquals(commonProtocol(mine, theirs), expected);
    assertEquals(commonProtocol(theirs, mine), expected);
  }
});

Deno.test("saidProtocols() says to programs without ranges what they compare", () => {
  assertEquals(said(8, 8), { protocol: 8 });
  assertEquals(said(8, 9), { protocol: 8, newestProtocol: 9 });
  assertEquals([said(8, 8), said(8, 9)].map(describeProtocols), ["version 8", "versions 8 to 9"]);
});
