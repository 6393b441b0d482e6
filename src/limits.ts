/**
 * Every bound of dks, in one place. A queue, a loop or an input without a bound is a bug.
 *
 * Names end in the unit; what exceeds a bound is refused with an error that names the bound.
 *
 * @module
 */

/** Most nodes of a cluster: sets of nodes are bits of a 32-bit integer. */
export const NODES_MAX = 31;

/** Default for the most bytes of a key. */
export const KEY_BYTES_MAX = 64 * 1024;

/** Default for the most bytes of a value. */
export const VALUE_BYTES_MAX = 8 * 1024 * 1024;

/** The highest value limit that may be configured. */
export const VALUE_BYTES_LIMIT = 64 * 1024 * 1024;

/** The highest key limit that may be configured. */
export const KEY_BYTES_LIMIT = 1024 * 1024;

/** Most keys of one command. */
export const KEYS_PER_COMMAND_MAX = 64 * 1024;

/**
 * Most arguments of one command, its name included: twice what an MSET may have, so that one with too
 * many keys can be refused without losing the connection.
 */
export const ARGUMENTS_MAX = 4 * KEYS_PER_COMMAND_MAX + 1;

/** What one command may have besides two values of the most bytes that are configured. */
export const COMMAND_BYTES_EXTRA = 8 * 1024 * 1024;

/** Most bytes of the arguments of one command, whatever is configured. */
export const COMMAND_BYTES_MAX = 2 * VALUE_BYTES_LIMIT + COMMAND_BYTES_EXTRA;

/** Most bytes of an inline command (Redis: PROTO_INLINE_MAX_SIZE). */
export const INLINE_BYTES_MAX = 64 * 1024;

/** A frame between two nodes ends after the message with which it reaches this length. */
export const FRAME_BYTES_TARGET = 64 * 1024;

/** A message between two nodes that is longer travels in pieces of this many bytes. */
export const PIECE_BYTES = 64 * 1024;

/**
 * Most bytes of the body of a frame between two nodes: the last message of a frame may exceed the
 * target.
 */
export const FRAME_BYTES_MAX = FRAME_BYTES_TARGET + PIECE_BYTES + 64;

/**
 * A node sends a peer at most this many bytes that the peer has not reported as processed; urgent
 * messages are exempt. So little data waits in the sockets between them, where nothing can overtake
 * it.
 */
export const UNTAKEN_BYTES_MAX = 512 * 1024;

/** A peer reports what it has processed each time it reaches this much. */
export const TAKEN_BYTES_STEP = 128 * 1024;

/**
 * Most transactions that one coordinator has running or in line at a time; further requests wait.
 */
export const TRANSACTIONS_MAX = 16_384;

/** Most bytes of all values that one BITOP combines: it takes up the node until it has done that. */
export const BITOP_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Most bytes of a message between two nodes. The largest is a prepare, with the bytes of its keys and
 * values, the lengths and flags of these, and the transactions that it follows; or the table of all
 * transactions in a promise. Keys and values are the words of one command, or what BITOP makes; a
 * transaction of MULTI has fewer (`TRANSACTION_BYTES_MAX`).
 */
export const MESSAGE_BYTES_MAX = COMMAND_BYTES_MAX + BITOP_BYTES_MAX + 16 * ARGUMENTS_MAX +
  8 * TRANSACTIONS_MAX + 16 * NODES_MAX * TRANSACTIONS_MAX + 1024;

/** While a member has sent this many bytes of keys to a joiner that has not reported them, it sends none. */
export const TRANSFER_BYTES_AHEAD = 1024 * 1024;

/** Most bytes that may wait for one peer's socket before its link is closed as too slow. */
export const LINK_BYTES_MAX = 2 * MESSAGE_BYTES_MAX;

/** Most bytes of a node's name: those of a host name, a colon and a port. */
export const NAME_BYTES_MAX = 253 + 6;

/**
 * Most bytes of a question between nodes before they know each other. It has the names of all nodes
 * twice, in `--peers` and by their ids, each with three characters of JSON, and 4 KiB of the rest.
 */
export const QUESTION_BYTES_MAX = 2 * NODES_MAX * (NAME_BYTES_MAX + 3) + 4096;

/** Most words of a command of a client that has not said yet who it is. */
export const STRANGER_ARGUMENTS_MAX = 16;

/** Most bytes of its words together: those of a question between nodes, too. */
export const STRANGER_BYTES_MAX = 32 * 1024;

/** Most bytes of the rules of all users together. */
export const USERS_BYTES_MAX = 1024 * 1024;

/** Most bytes of a password: a longer one is wrong. */
export const PASSWORD_BYTES_MAX = 4096;

/** Most bytes of the document that `--config -` reads. */
export const CONFIG_BYTES_MAX = 1024 * 1024;

/** Most client connections of one node. */
export const CONNECTIONS_MAX = 10_000;

/**
 * Connections above these that are accepted for a moment: peers must get in, however many clients
 * there are.
 */
export const PEER_CONNECTIONS_MAX = 256;

/** Files of the process that clients leave to peers, if it may open fewer than clients would use. */
export const FILES_FOR_PEERS = 64;

/**
 * Most commands of one connection that may wait for their answers; then the node reads no more from
 * it.
 */
export const PIPELINE_MAX = 4096;

/** Most keys that one SCAN looks at, whatever its COUNT: it must not take up the node. */
export const SCAN_LOOKS_MAX = 10_000;

/** Most bytes of the keys that one SCAN looks at, with the steps that it takes to compare them. */
export const SCAN_WORK_MAX = 1024 * 1024;

/** Longest pattern of KEYS, SCAN, PUBSUB, CONFIG GET and COMMAND LIST, in bytes: how long a key takes to compare depends on it. */
export const PATTERN_BYTES_MAX = 1024;

/** Most commands of one MULTI. */
export const QUEUED_COMMANDS_MAX = KEYS_PER_COMMAND_MAX;

/**
 * Most bytes of the words of all commands of one MULTI; and of its keys, watched ones too, with what those
 * get that it changes.
 */
export const TRANSACTION_BYTES_MAX = VALUE_BYTES_LIMIT + 8 * 1024 * 1024;

/**
 * Most bytes of the values that the commands of one MULTI read, each time that one does: they are run in one
 * turn of the event loop, and it takes some 10 ms to count the bits of 8 MiB.
 */
export const TRANSACTION_READ_BYTES_MAX = 256 * 1024 * 1024;

/** Most bytes of one reply: an MGET of more is an error. */
export const REPLY_BYTES_MAX = VALUE_BYTES_LIMIT + 8 * 1024 * 1024;

/** Most bytes of answers that may wait for one client's socket; then it is read no further. */
export const OUTPUT_BYTES_MAX = 256 * 1024;

/** Most bytes of answers that wait for all clients' sockets; above it, slow readers are cut off. */
export const OUTPUT_BYTES_SUM_MAX = 1024 * 1024 * 1024;

/** Commands of one connection that are begun in one turn. */
export const COMMANDS_PER_TURN = 1024;

/** Most bytes of the words of all writes under way at a node; further ones wait, unless they are small. */
export const WRITE_BYTES_MAX = 32 * 1024 * 1024;

/** What a key takes besides its bytes and those of its value, in bytes: an estimate, for --max-memory. */
export const KEY_OVERHEAD_BYTES = 200;

/** Most bytes of memory that a node holds for commands that are not complete yet. */
export const INPUT_BYTES_SUM_MAX = 256 * 1024 * 1024;

/** Most bytes that may wait for a client that is told messages; then it is cut off. */
export const PUSH_BYTES_MAX = 4 * 1024 * 1024;

/** Most bytes of the names of all subscriptions at a node. */
export const SUBSCRIPTION_BYTES_SUM_MAX = 64 * 1024 * 1024;

/** Most reads that a node notes for CLIENT TRACKING; then an old one is told as changed. */
export const TRACKED_READS_MAX = 1_000_000;

/** Most prefixes that clients track at one node. */
export const TRACKING_PREFIXES_MAX = 4096;

/** While more bytes than that wait for a link, no published message is added to them. */
export const PUBLICATION_LINK_BYTES_MAX = 16 * 1024 * 1024;

/** Most requests that one node holds; one more is rejected. */
export const REQUESTS_MAX = 100_000;

/** Most commands DKS.OUTCOME under way at a node: each asks all other nodes. */
export const OUTCOME_QUESTIONS_MAX = 64;

/**
 * Most transactions in doubt that DKS.STATUS and INFO list; they also tell how many there are in
 * all.
 */
export const DOUBTS_LISTED_MAX = 10;

/** A token of DKS.ONCE is valid for at least this long, in milliseconds: 10 minutes. */
export const ONCE_WINDOW_MS = 10 * 60 * 1000;

/** Most bytes of a token of DKS.ONCE. */
export const TOKEN_BYTES_MAX = 64;

/** Most bytes of an answer that DKS.ONCE keeps, so that it can repeat it. */
export const ONCE_ANSWER_BYTES_MAX = 64 * 1024;

/**
 * The part of --max-memory that tokens may take beyond it: a deletion under a token frees memory, but its
 * token takes some for {@linkcode ONCE_WINDOW_MS}.
 */
export const TOKENS_MEMORY_SHARE = 1 / 16;

/** Most old tokens that are deleted by one transaction. */
export const SWEEP_DELETIONS_MAX = 1000;

/** Most keys that are deleted by one transaction because they have expired. */
export const EXPIRIES_PER_SWEEP_MAX = 200;

/** Most bytes of these keys, unless a single one has more. */
export const EXPIRY_BYTES_PER_SWEEP_MAX = 1024 * 1024;

/** Most exports under way at a node: each keeps overwritten values in memory. */
export const EXPORTS_MAX = 4;

/** An export that has not been read for this long is dropped, in milliseconds. */
export const EXPORT_IDLE_MS = 60_000;

/** An answer of DKS.EXPORT ends with the key with which it reaches this many bytes. */
export const EXPORT_CHUNK_BYTES = 256 * 1024;

/** Most outcomes that a node keeps beyond the low-water mark, because clients got their ids. */
export const OUTCOMES_KEPT_MAX = 10_000;

/** The latest time that a node's clock may show at its start, in milliseconds since 1970: 2112. */
export const CLOCK_MS_MAX = 2 ** 52 / 1000;

/** Most connections at the port of `--http` at one time. */
export const HTTP_CONNECTIONS_MAX = 64;

/** Most status pages that one node keeps up to date. */
export const LIVE_PAGES_MAX = 16;

/** Most bytes of the head of a request at the port of `--http`. */
export const HTTP_HEAD_BYTES_MAX = 8 * 1024;

/** A request at the port of `--http` arrives, and its answer is read, within this time, in milliseconds. */
export const HTTP_TIMEOUT_MS = 5000;

/** How long DEBUG SLEEP has a node stand still at the most, in milliseconds. */
export const DEBUG_SLEEP_MS_MAX = 60_000;
