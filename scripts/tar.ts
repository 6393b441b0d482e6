/**
 * Writing a tar archive of a few small files (POSIX ustar), which every system can unpack.
 *
 * @module
 */

const BLOCK_BYTES = 512;

/** Yields the header, the data, and the padding of one file. */
export function* tarEntry(
  name: string,
  data: Uint8Array<ArrayBuffer>,
  mode: number,
): Generator<Uint8Array<ArrayBuffer>> {
  yield header(name, data.length, mode);
  yield data;
  yield new Uint8Array((BLOCK_BYTES - data.length % BLOCK_BYTES) % BLOCK_BYTES);
}

/** Returns what stands at the end of an archive. */
export function tarEnd(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(2 * BLOCK_BYTES);
}

/** The fields of a ustar header: offset and text, numbers in octal. */
function header(name: string, size: number, mode: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK_BYTES);
  const put = (offset: number, text: string) => {
    block.set(new TextEncoder().encode(text), offset);
  };
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  put(0, name);
  put(100, octal(mode, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(size, 11));
  put(136, octal(0, 11));
  put(148, " ".repeat(8)); // The checksum is taken with blanks in its place.
  put(156, "0");
  put(257, "ustar\x0000");
  const checksum = block.reduce((sum, byte) => sum + byte, 0);
  put(148, `${octal(checksum, 6)}\0 `);
  return block;
}
