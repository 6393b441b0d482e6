import { assertEquals, assertRejects } from "@std/assert";
import { NameLookups, UnknownHostError } from "../src/name_lookup.ts";

/** A resolver that answers when it is told to. */
class SlowResolver {
  readonly asked: string[] = [];
  readonly #answers = new Map<string, PromiseWithResolvers<readonly string[]>>();

  readonly lookUp = (hostname: string): Promise<readonly string[]> => {
    this.asked.push(hostname);
    const answer = Promise.withResolvers<readonly string[]>();
    this.#answers.set(hostname, answer);
    return answer.promise;
  };

  async answer(hostname: string): Promise<void> {
    this.#answers.get(hostname)?.resolve([`address of ${hostname}`]);
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  }
}

Deno.test("NameLookups asks for a name once at a time, however many wait for it", async () => {
  const resolver = new SlowResolver();
  const lookups = new NameLookups(resolver.lookUp);
  const found = Array.from({ length: 100 }, () => lookups.addressesOf("n1"));
  assertEquals(resolver.asked, ["n1"]);
  await resolver.answer("n1");
  assertEquals(new Set((await Promise.all(found)).flat()), new Set(["address of n1"]));
  lookups.addressesOf("n1");
  assertEquals(resolver.asked, ["n1", "n1"]);
});

Deno.test("NameLookups asks for few names at a time: lookups take threads that others need", async () => {
  const resolver = new SlowResolver();
  const lookups = new NameLookups(resolver.lookUp);
  const names = Array.from({ length: 30 }, (_, index) => `n${index}`);
  const found = names.map((name) => lookups.addressesOf(name));
  assertEquals(resolver.asked.length, 8);
  for (const name of names) await resolver.answer(name);
  assertEquals((await Promise.all(found)).length, 30);
  assertEquals(resolver.asked, names);
});

Deno.test("NameLookups looks up no address, and says which name has none", async () => {
  const resolver = new SlowResolver();
  const lookups = new NameLookups(resolver.lookUp);
  assertEquals(await lookups.addressesOf("127.0.0.1"), ["127.0.0.1"]);
  assertEquals(await lookups.addressesOf("::1"), ["::1"]);
  assertEquals(resolver.asked, []);
  await assertRejects(
    () => new NameLookups().addressesOf("no-such-host.invalid"),
    UnknownHostError,
    'the host name "no-such-host.invalid" has no address now',
  );
});
