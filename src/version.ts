/** The version of this program, the same as in `deno.json`. */
export const VERSION = "0.1.0";

/** The version of Redis whose protocol, commands and error texts this follows. */
export const REDIS_VERSION = "7.0.15";
