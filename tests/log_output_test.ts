import { assertEquals } from "@std/assert";
import { LogOutput } from "../src/log_output.ts";

/** A stream that is read when the test says so. */
class HeldStream {
  readonly #decoder = new TextDecoder();
  written = "";
  #release = Promise.withResolvers<void>();
  /** What the next writes fail with. */
  readonly failures: Error[] = [];
  /** How many bytes a write takes. */
  bytesMax = Infinity;

  async write(bytes: Uint8Array): Promise<number> {
    await this.#release.promise;
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    const count = Math.min(bytes.length, this.bytesMax);
    this.written += this.#decoder.decode(bytes.subarray(0, count), { stream: true });
    return count;
  }

  release(): void {
    this.#release.resolve();
  }
}

const told = (count: number) => `dropped ${count}`;

Deno.test("LogOutput writes lines in order, however few bytes a write takes", async () => {
  const stream = new HeldStream();
  const output = new LogOutput(stream);
  stream.bytesMax = 3;
  for (const line of ["one", "zwölf", "three"]) output.write(line, told);
  stream.release();
  await output.flush(10_000);
  assertEquals(stream.written, "one\nzwölf\nthree\n");
});

Deno.test("LogOutput drops and counts what finds no room, and tells the count in its place", async () => {
  const stream = new HeldStream();
  const output = new LogOutput(stream);
  const line = "x".repeat(1023);
  for (let i = 0; i < 300; i++) output.write(line, told);
  output.write("short, and no overtaker", told);
  stream.release();
  await output.flush(10_000);
  assertEquals(stream.written, `${line}\n`.repeat(256) + "dropped 45\n");
  output.write("there again", told);
  await output.flush(10_000);
  assertEquals(stream.written.endsWith("dropped 45\nthere again\n"), true);
});

Deno.test("LogOutput.flush() waits no longer than it is told", async () => {
  const output = new LogOutput(new HeldStream());
  output.write("nobody reads this", told);
  await output.flush(1);
});

Deno.test("LogOutput continues after a stream that was full", async () => {
  const stream = new HeldStream();
  const output = new LogOutput(stream);
  stream.failures.push(new Deno.errors.WouldBlock("full"));
  output.write("one", told);
  stream.release();
  await output.flush(10_000);
  assertEquals(stream.written, "one\n");
});

Deno.test("LogOutput counts what could not be written, as to a full disk", async () => {
  const stream = new HeldStream();
  const output = new LogOutput(stream);
  stream.failures.push(new Error("No space left on device"));
  output.write("one", told);
  stream.release();
  await output.flush(10_000);
  assertEquals(stream.written, "dropped 1\n");
});

Deno.test("LogOutput writes nothing more to a pipe that is closed", async () => {
  const stream = new HeldStream();
  const output = new LogOutput(stream);
  stream.failures.push(new Deno.errors.BrokenPipe("closed"));
  output.write("one", told);
  output.write("two", told);
  stream.release();
  await output.flush(10_000);
  output.write("three", told);
  await output.flush(10_000);
  assertEquals(stream.written, "");
});
