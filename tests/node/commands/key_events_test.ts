/** Which events of keys each command has: measured at redis-server 7.0.15. */

import { assertEquals } from "@std/assert";
import { KeyNotifications } from "../../../src/node/pubsub/key_notifications.ts";
import { Database } from "./database.ts";
import { session } from "./session.ts";

/** Runs commands on one connection; returns the events of the last one, as `event key`. */
function eventsOf(lines: readonly string[]): string[] {
  const database = new Database();
  const of = session();
  const told: string[] = [];
  const notifications = new KeyNotifications({
    tellLocal: (channel, key) => told.push(`${channel.replace("__keyevent@0__:", "")} ${key}`),
  });
  notifications.choose("EA");
  database.onEffects = (effects) => notifications.onEffects(effects);
  for (const line of lines) {
    told.length = 0;
    database.run(line, of);
  }
  return told;
}

Deno.test("commands have the events of Redis", () => {
  const rows: [lines: string | string[], events: string[]][] = [
    ["SET a 1", ["set a"]],
    ["SET a 1 EX 9", ["set a", "expire a"]],
    [["SET a 1 EX 9", "SET a 2 KEEPTTL"], ["set a"]],
    ["SET a 1 PXAT 1", ["set a", "expire a", "expired a"]],
    ["SETEX a 9 1", ["set a", "expire a"]],
    ["SETNX a 1", ["set a"]],
    ["GETSET a 1", ["set a"]],
    ["MSET a 1 b 2", ["set a", "set b"]],
    ["MSETNX a 1 b 2", ["set a", "set b"]],
    ["INCR a", ["incrby a"]],
    ["DECRBY a 2", ["incrby a"]],
    ["INCRBYFLOAT a 1.5", ["incrbyfloat a"]],
    ["APPEND a x", ["append a"]],
    ["SETRANGE a 1 x", ["setrange a"]],
    ["SETBIT a 1 1", ["setbit a"]],
    ["BITFIELD a SET u8 0 1", ["setbit a"]],
    ["BITFIELD a OVERFLOW FAIL SET u8 0 300", []],
    ["BITFIELD a OVERFLOW FAIL SET u8 0 300 SET u8 8 0", ["setbit a"]],
    [["SET a 1", "BITOP NOT z a"], ["set z"]],
    [["SET z 1", "BITOP NOT z a"], ["del z"]],
    [["SET a 1", "GETDEL a"], ["del a"]],
    [["SET a 1", "DEL a b"], ["del a"]],
    [["SET a 1", "EXPIRE a 9"], ["expire a"]],
    [["SET a 1", "EXPIRE a -1"], ["del a"]],
    [["SETEX a 9 1", "PERSIST a"], ["persist a"]],
    [["SET a 1", "GETEX a EX 9"], ["expire a"]],
    [["SETEX a 9 1", "GETEX a PERSIST"], ["persist a"]],
    [["SET a 1", "GETEX a EXAT 1"], ["del a"]],
    [["SET a 1", "GETEX a"], []],
    [["SET a 1", "RENAME a b"], ["rename_from a", "rename_to b"]],
    [["SET a 1", "COPY a b"], ["copy_to b"]],
    ["GET a", []],
    [["MULTI", "SET a 1", "INCR a", "DEL a", "EXEC"], ["set a", "incrby a", "del a"]],
    ["DKS.ONCE t SET a 1", ["set a"]],
  ];
  for (const [lines, events] of rows) {
    const all = typeof lines === "string" ? [lines] : lines;
    assertEquals(eventsOf(all), events, all.join("; "));
  }
});

Deno.test("KeyNotifications tells in Redis's letters what it tells", () => {
  const told: string[] = [];
  const notifications = new KeyNotifications({
    tellLocal: (channel, message) => told.push(`${channel} ${message}`),
  });
  assertEquals([notifications.letters, notifications.isOn], ["", false]);
  for (
    const [chosen, letters] of [["KEA", "AKE"], ["Kgx", "gxK"], ["", ""], ["$lgshzxetdE", "AE"]]
  ) {
    assertEquals(notifications.choose(chosen ?? ""), true);
    assertEquals(notifications.letters, letters);
  }
  assertEquals(notifications.choose("KEQ"), false);
  assertEquals(notifications.letters, "AE", "nothing has changed");
  notifications.choose("g");
  assertEquals(notifications.isOn, false, "neither K nor E says where to");
  notifications.choose("K$");
  notifications.onEffects([{ key: "k", value: "v" }, { key: "gone", value: undefined }]);
  assertEquals(told, ["__keyspace@0__:k set"], "a deletion is of another kind");
});
