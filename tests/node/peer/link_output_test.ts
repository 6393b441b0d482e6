import { assertEquals } from "@std/assert";
import { FRAME_BYTES_MAX, PIECE_BYTES, UNTAKEN_BYTES_MAX } from "../../../src/limits.ts";
import { FrameReader } from "../../../src/node/peer/frames.ts";
import { LinkOutput } from "../../../src/node/peer/link_output.ts";
import type { LinkMessage } from "../../../src/node/peer/messages.ts";
import { feed } from "../../harness/split.ts";

const HEARTBEAT: LinkMessage = {
  type: "heartbeatAcknowledged",
  view: 1,
  incarnation: 1,
  round: 1,
  wallMs: 1000,
};

function prepare(number: number, bytes: number): LinkMessage {
  return {
    type: "prepare",
    view: 1,
    number,
    priority: 1,
    version: 2,
    effects: [{ key: "k", value: "v".repeat(bytes) }],
    reads: [],
    follows: [],
  };
}

/** One end of a link, and what the other end has read. */
class Line {
  readonly output = new LinkOutput();
  readonly #reader = new FrameReader();
  readonly received: string[] = [];
  untaken = 0;

  /** Sends what may leave. Returns how many bytes that were. */
  send(): number {
    let sum = 0;
    for (let bytes = this.output.next(); bytes !== undefined; bytes = this.output.next()) {
      assertEquals(bytes.length <= FRAME_BYTES_MAX + 4, true, `${bytes.length} bytes at a time`);
      sum += bytes.length;
      feed(this.#reader, bytes.slice(), () =>
        this.#reader.drain((message) => {
          this.received.push("number" in message ? `${message.number}` : message.type);
        }));
    }
    this.untaken += sum;
    return sum;
  }

  take(): void {
    this.output.taken(this.untaken);
    this.untaken = 0;
  }

  /** Sends and takes in until nothing is left. Returns the most bytes that were not taken in. */
  finish(): number {
    let most = this.untaken;
    do {
      this.take();
      this.send();
      most = Math.max(most, this.untaken);
    } while (this.untaken > 0);
    return most;
  }
}

Deno.test("LinkOutput lets signs of life pass large messages, and keeps all others in order", () => {
  const line = new Line();
  const large = 3_000_000;
  line.output.add(prepare(1, 10));
  line.output.add(prepare(2, large));
  line.output.add(prepare(3, 10));
  line.output.add({ type: "commit", view: 1, number: 4 });
  line.output.add(prepare(5, large));
  line.output.add({ type: "commit", view: 1, number: 6 });
  line.send();
  assertEquals(line.received, ["1"], "the peer has enough to take in");
  line.output.add(HEARTBEAT);
  const sent = line.send();
  assertEquals(line.received, ["1", "heartbeatAcknowledged"]);
  assertEquals(sent < 100, true, `${sent} bytes`);
  const most = line.finish();
  assertEquals(line.received.slice(2), ["2", "3", "4", "5", "6"]);
  assertEquals(most <= UNTAKEN_BYTES_MAX + FRAME_BYTES_MAX, true, `${most} bytes were on the way`);
  assertEquals(line.output.bytes < 100, true, "nothing waits any more");
});

Deno.test("LinkOutput lets signs of life pass many small messages, too", () => {
  const line = new Line();
  for (let number = 1; number <= 5000; number++) line.output.add(prepare(number, 1000));
  line.send();
  line.output.add(HEARTBEAT);
  line.send();
  assertEquals(line.received.at(-1), "heartbeatAcknowledged");
  assertEquals(line.received.length < 1000, true);
  line.finish();
  assertEquals(line.received.length, 5001);
});

Deno.test("LinkOutput sends messages of sizes about that of a piece", () => {
  const line = new Line();
  const sizes = Array.from({ length: 200 }, (_, index) => PIECE_BYTES - 100 + index);
  for (const [number, size] of sizes.entries()) {
    line.output.add(prepare(number, size));
    if (number % 3 === 0) line.send();
    if (number % 7 === 0) line.take();
  }
  line.finish();
  assertEquals(line.received, sizes.map((_, number) => `${number}`));
});

Deno.test("LinkOutput.add() has one frame for all while nothing waits", () => {
  const line = new Line();
  line.output.add(HEARTBEAT);
  line.output.add({ type: "commit", view: 1, number: 1 });
  line.output.add(HEARTBEAT);
  line.send();
  assertEquals(line.received, ["heartbeatAcknowledged", "1", "heartbeatAcknowledged"]);
});
