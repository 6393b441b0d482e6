/*
 * A load in a closed loop, for stores of three protocols, that takes little of the processors that it
 * shares with the stores: one thread, epoll, nothing allocated for a request.
 *
 *   load resp HOSTS [options] WORD... [';' WORD...]     the Redis protocol
 *   load etcd HOSTS [options] put|get|fill              etcd v3: gRPC, which is protobuf over HTTP/2
 *   load zk   HOSTS [options] set|get|sync|fill         ZooKeeper; sync is a sync and a get behind it
 *
 *   HOSTS   ADDRESS:PORT,...; connections are spread over them evenly
 *   -c N    connections (50)
 *   -P N    requests under way on each (1). resp: so many are written at once, and the next ones when all
 *           of them are answered; otherwise the next one follows each answer
 *   -t S    seconds that are measured (2), after -w S seconds that are not (0.5)
 *   -k N    keys (10000); -d N  bytes of data (100)
 *   -W N    resp: a WAIT for N replicas behind the requests that are written at once; less is an error
 *   -n N    instead of a time: so many requests, with keys in ascending order. Of `fill`: as many as keys
 *   -p PIDS processes whose processor time is measured, PID,...
 *
 * A request of resp is the words, with __key__ for a key and __data__ for data. Between `;` stand commands
 * that are sent one behind the other as one request, such as MULTI, SET and EXEC.
 *
 * A latency is the time from the write of a request to the read of its answer. Prints one JSON object.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *form, ...) {
    va_list list;
    va_start(list, form);
    fputs("load: ", stderr);
    vfprintf(stderr, form, list);
    fputc('\n', stderr);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* --- options and counts --------------------------------------------------------------------------- */

enum protocol { RESP, ETCD, ZK };
enum operation { PUT, GET, SYNC, FILL };

static enum protocol protocol;
static enum operation operation;
static int connections = 50, depth = 1, keys = 10000, data_bytes = 100, replicas = 0;
static double seconds = 2, warm_up = 0.5;
static long limit = 0; /* of requests; 0: none */

static long issued, answered, counted, errors, nulls;
static char first_error[128];
static int is_counting;
static double time_of_turn;

/* Latencies in nanoseconds: 64 equal steps in each power of two, 1.6 % wide. */
static uint64_t latencies[64][64];
static double latency_sum, latency_max;

static void add_latency(double s, int times) {
    uint64_t ns = s < 64e-9 ? 64 : (uint64_t)(s * 1e9);
    int power = 63 - __builtin_clzll(ns);
    latencies[power][ns >> (power - 6) & 63] += times;
    latency_sum += s * times;
    if (s > latency_max) latency_max = s;
}

/* In milliseconds. */
static double percentile(double percent) {
    double left = counted * percent / 100;
    for (int power = 6; power < 64; power++)
        for (int step = 0; step < 64; step++)
            if (latencies[power][step] && (left -= latencies[power][step]) <= 0)
                return ((uint64_t)(64 + step) << (power - 6)) * (1 + 1 / 128.0) * 1e-6;
    return latency_max * 1e3;
}

static uint64_t random_state = 88172645463325252ull;
static uint32_t random_number(void) { /* xorshift */
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state >> 16;
}

/* --- connections ---------------------------------------------------------------------------------- */

struct bytes {
    uint8_t *at;
    size_t length, room;
};

static void reserve(struct bytes *b, size_t more) {
    if (b->length + more <= b->room) return;
    b->room = 2 * (b->length + more);
    b->at = realloc(b->at, b->room);
    if (!b->at) fail("no memory");
}
static void put(struct bytes *b, const void *from, size_t count) {
    reserve(b, count);
    memcpy(b->at + b->length, from, count);
    b->length += count;
}
static void put8(struct bytes *b, int value) {
    uint8_t byte = value;
    put(b, &byte, 1);
}
static void put32(struct bytes *b, uint32_t value) {
    value = htonl(value);
    put(b, &value, 4);
}
static void set32(uint8_t *at, uint32_t value) {
    value = htonl(value);
    memcpy(at, &value, 4);
}
static uint32_t get32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return ntohl(value);
}

#define RING 4096 /* more than requests may be under way on a connection */

struct connection {
    int fd, wants_write, under_way;
    struct bytes out, in;
    size_t written;
    long done; /* requests, for fairness */
    /* resp: of the requests that were written at once */
    double began;
    int requests, replies_left, has_error;
    /* etcd: by half of the stream's number; zk: by the request's number */
    double started[RING];
    uint32_t size_of[RING];
    uint8_t is_open[RING];
    uint32_t next, eaten;
    int64_t window;
    int has_headers;
};

static int poller;
static uint8_t *data; /* twice as long as needed: each request takes it from another place */

static void key_text(char *to) {
    int number = limit ? issued % keys : random_number() % keys;
    memcpy(to, "key:000000000000", 16);
    for (int i = 15; number; i--, number /= 10) to[i] = '0' + number % 10;
}
static const uint8_t *some_data(void) { return data + random_number() % 4096; }

static int may_issue(void) { return !limit || issued < limit; }

static void complete(struct connection *c, double began, int times, int is_error) {
    answered += times;
    c->under_way -= times;
    if (!is_counting) return;
    if (is_error) {
        errors += times;
        return;
    }
    counted += times;
    c->done += times;
    add_latency(time_of_turn - began, times);
}

/* --- the Redis protocol --------------------------------------------------------------------------- */

#define PLACES 64
static struct bytes request;        /* one, with room for keys and data */
static size_t key_places[PLACES], data_places[PLACES];
static int key_count, data_count, commands;
static struct bytes wait_command;

static void add_command(char **words, int count) {
    char line[64];
    put(&request, line, sprintf(line, "*%d\r\n", count));
    for (int i = 0; i < count; i++) {
        size_t length = 0;
        for (char *w = words[i]; *w;) {
            if (!strncmp(w, "__key__", 7)) length += 16, w += 7;
            else if (!strncmp(w, "__data__", 8)) length += data_bytes, w += 8;
            else length++, w++;
        }
        put(&request, line, sprintf(line, "$%zu\r\n", length));
        for (char *w = words[i]; *w;) {
            if (!strncmp(w, "__key__", 7)) {
                if (key_count == PLACES) fail("more than %d keys in a request", PLACES);
                key_places[key_count++] = request.length;
                put(&request, "key:000000000000", 16);
                w += 7;
            } else if (!strncmp(w, "__data__", 8)) {
                if (data_count == PLACES) fail("more than %d data in a request", PLACES);
                data_places[data_count++] = request.length;
                put(&request, data, data_bytes);
                w += 8;
            } else put8(&request, *w++);
        }
        put(&request, "\r\n", 2);
    }
    commands++;
}

static void resp_send(struct connection *c) {
    if (c->under_way) return;
    c->began = now();
    c->requests = c->has_error = 0;
    for (int i = 0; i < depth && may_issue(); i++) {
        size_t at = c->out.length;
        put(&c->out, request.at, request.length);
        for (int k = 0; k < key_count; k++) key_text((char *)c->out.at + at + key_places[k]);
        for (int k = 0; k < data_count; k++)
            memcpy(c->out.at + at + data_places[k], some_data(), data_bytes);
        c->requests++;
        issued++;
    }
    c->under_way = c->requests;
    c->replies_left = c->requests * commands;
    if (replicas && c->requests) {
        put(&c->out, wait_command.at, wait_command.length);
        c->replies_left++;
    }
}

/* Returns the length of the reply at `from`; 0 if it is not complete. */
static size_t reply_length(const uint8_t *from, size_t length) {
    const uint8_t *end = memchr(from, '\n', length);
    if (!end) return 0;
    size_t line = end - from + 1;
    long number = strtol((const char *)from + 1, 0, 10);
    switch (*from) {
    case '+': case '-': case ':': case '_': case ',': case '#': case '(': return line;
    case '$': case '=':
        if (number < 0) return line;
        return line + number + 2 <= length ? line + number + 2 : 0;
    case '*': case '~': case '>': case '%':
        if (*from == '%') number *= 2;
        for (; number > 0; number--) {
            size_t one = line < length ? reply_length(from + line, length - line) : 0;
            if (!one) return 0;
            line += one;
        }
        return line;
    }
    fail("a reply cannot begin with %.20s", from);
    return 0;
}

static void note_error(const uint8_t *text, size_t length) {
    if (!*first_error) snprintf(first_error, sizeof first_error, "%.*s", (int)(length - 2), text);
}

static void resp_receive(struct connection *c) {
    size_t at = 0;
    while (at < c->in.length) {
        const uint8_t *reply = c->in.at + at;
        size_t length = reply_length(reply, c->in.length - at);
        if (!length) break;
        if (!c->replies_left) fail("a reply to no request: %.40s", reply);
        c->replies_left--;
        if (*reply == '-') {
            c->has_error++;
            note_error(reply, length);
        } else if (*reply == '_' || !memcmp(reply, "$-1", 3)) nulls += is_counting;
        if (!c->replies_left) {
            /* Without all replicas none of the requests before counts. */
            int is_short = replicas && (*reply != ':' || strtol((char *)reply + 1, 0, 10) < replicas);
            if (is_short) note_error((uint8_t *)"WAIT: fewer replicas\r\n", 22);
            int wrong = is_short ? c->requests : c->has_error < c->requests ? c->has_error : c->requests;
            if (wrong) complete(c, c->began, wrong, 1);
            if (wrong < c->requests) complete(c, c->began, c->requests - wrong, 0);
        }
        at += length;
    }
    memmove(c->in.at, c->in.at + at, c->in.length -= at);
}

/* --- etcd: gRPC over HTTP/2 ----------------------------------------------------------------------- */

enum { DATA, HEADERS, RST_STREAM = 3, SETTINGS, PING = 6, GOAWAY, WINDOW_UPDATE };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

static size_t begin_frame(struct connection *c, int type, int flags, uint32_t stream) {
    size_t at = c->out.length;
    put(&c->out, "\0\0", 3);
    put8(&c->out, type);
    put8(&c->out, flags);
    put32(&c->out, stream);
    return at;
}
static size_t end_frame(struct connection *c, size_t at) {
    size_t length = c->out.length - at - 9;
    c->out.at[at] = length >> 16, c->out.at[at + 1] = length >> 8, c->out.at[at + 2] = length;
    return length;
}
static void put_header(struct connection *c, const char *text) {
    put8(&c->out, strlen(text));
    put(&c->out, text, strlen(text));
}

static void etcd_greet(struct connection *c) {
    put(&c->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    size_t at = begin_frame(c, SETTINGS, 0, 0);
    put(&c->out, "\0\4", 2); /* the window that each stream begins with */
    put32(&c->out, 1 << 24);
    end_frame(c, at);
    at = begin_frame(c, WINDOW_UPDATE, 0, 0);
    put32(&c->out, 1 << 30);
    end_frame(c, at);
    c->next = 1;
    c->window = 65535;
}

static void etcd_one(struct connection *c) {
    uint32_t stream = c->next;
    c->next += 2;
    size_t at = begin_frame(c, HEADERS, END_HEADERS, stream);
    put(&c->out, "\x83\x86", 2); /* :method POST, :scheme http */
    if (c->has_headers) put(&c->out, "\xc1\xc0\xbf\xbe", 4); /* those of the first request, by their number */
    else {
        c->has_headers = 1;
        put8(&c->out, 0x44);
        put_header(c, operation == GET ? "/etcdserverpb.KV/Range" : "/etcdserverpb.KV/Put");
        put8(&c->out, 0x41);
        put_header(c, "127.0.0.1");
        put8(&c->out, 0x5f);
        put_header(c, "application/grpc");
        put8(&c->out, 0x40);
        put_header(c, "te");
        put_header(c, "trailers");
    }
    end_frame(c, at);
    at = begin_frame(c, DATA, END_STREAM, stream);
    size_t message = c->out.length;
    put(&c->out, "\0\0\0\0", 5); /* not compressed; the length follows */
    char key[16];
    key_text(key);
    put(&c->out, "\x0a\x10", 2); /* field 1 of 16 bytes */
    put(&c->out, key, 16);
    if (operation != GET) {
        put8(&c->out, 0x12); /* field 2 */
        int length = data_bytes;
        for (; length > 127; length >>= 7) put8(&c->out, 0x80 | (length & 127));
        put8(&c->out, length);
        put(&c->out, some_data(), data_bytes);
    }
    set32(c->out.at + message + 1, c->out.length - message - 5);
    c->window -= end_frame(c, at);
    if (c->window < 0) fail("the window of a connection to etcd is used up: choose smaller data");
    int slot = stream / 2 % RING;
    c->started[slot] = now();
    c->size_of[slot] = 0;
    c->is_open[slot] = 1;
}

static void etcd_receive(struct connection *c) {
    size_t at = 0;
    while (c->in.length - at >= 9) {
        const uint8_t *frame = c->in.at + at, *body = frame + 9;
        size_t length = frame[0] << 16 | frame[1] << 8 | frame[2];
        if (c->in.length - at < 9 + length) break;
        int type = frame[3], flags = frame[4], is_end = 0;
        uint32_t stream = get32(frame + 5) & 0x7fffffff;
        int slot = stream / 2 % RING;
        if (type == DATA) {
            c->eaten += length;
            c->size_of[slot] += length;
            is_end = flags & END_STREAM;
        } else if (type == HEADERS) is_end = flags & END_STREAM;
        else if (type == RST_STREAM) is_end = 1; /* may also come behind an answer: then it closes nothing */
        else if (type == SETTINGS && !(flags & ACK)) end_frame(c, begin_frame(c, SETTINGS, ACK, 0));
        else if (type == PING && !(flags & ACK)) {
            size_t pong = begin_frame(c, PING, ACK, 0);
            put(&c->out, body, 8);
            end_frame(c, pong);
        } else if (type == GOAWAY) fail("etcd says goodbye");
        else if (type == WINDOW_UPDATE && stream == 0) c->window += get32(body) & 0x7fffffff;
        if (is_end && c->is_open[slot]) {
            c->is_open[slot] = 0;
            int is_error = c->size_of[slot] <= 5; /* an error has no message */
            if (is_error) note_error((uint8_t *)"gRPC error\r\n", 12);
            else if (operation == GET && c->size_of[slot] < (uint32_t)data_bytes) nulls += is_counting;
            complete(c, c->started[slot], 1, is_error);
        }
        at += 9 + length;
    }
    memmove(c->in.at, c->in.at + at, c->in.length -= at);
    if (c->eaten > 1u << 28) {
        size_t update = begin_frame(c, WINDOW_UPDATE, 0, 0);
        put32(&c->out, c->eaten);
        end_frame(c, update);
        c->eaten = 0;
    }
}

/* --- ZooKeeper ------------------------------------------------------------------------------------ */

enum { ZK_CREATE = 1, ZK_GET = 4, ZK_SET = 5, ZK_SYNC = 9, ZK_CLOSE = -11 };

static void zk_request(struct connection *c, int type) {
    size_t at = c->out.length;
    put32(&c->out, 0); /* the length */
    put32(&c->out, ++c->next);
    put32(&c->out, type);
    if (type == ZK_SYNC) {
        put32(&c->out, 1);
        put(&c->out, "/", 1);
    } else if (type != ZK_CLOSE) {
        char key[17] = "/";
        key_text(key + 1);
        put32(&c->out, 17);
        put(&c->out, key, 17);
    }
    if (type == ZK_GET) put8(&c->out, 0); /* no watch */
    if (type == ZK_SET || type == ZK_CREATE) {
        put32(&c->out, data_bytes);
        put(&c->out, some_data(), data_bytes);
    }
    if (type == ZK_SET) put32(&c->out, -1); /* any version */
    if (type == ZK_CREATE) { /* everybody may do everything; a lasting node */
        put32(&c->out, 1), put32(&c->out, 31);
        put32(&c->out, 5), put(&c->out, "world", 5);
        put32(&c->out, 6), put(&c->out, "anyone", 6);
        put32(&c->out, 0);
    }
    set32(c->out.at + at, c->out.length - at - 4);
    c->started[c->next % RING] = now();
    c->is_open[c->next % RING] = type != ZK_SYNC; /* what is counted */
}

static void zk_one(struct connection *c) {
    if (operation == SYNC) zk_request(c, ZK_SYNC);
    zk_request(c, operation == FILL ? ZK_CREATE : operation == PUT ? ZK_SET : ZK_GET);
}

/* Opens a session; on a blocking socket. */
static void zk_greet(struct connection *c) {
    uint8_t hello[49] = {0}, reply[256];
    set32(hello, 45);
    set32(hello + 16, 30000); /* milliseconds until a silent session ends */
    set32(hello + 28, 16);
    if (write(c->fd, hello, 49) != 49) fail("ZooKeeper: %s", strerror(errno));
    size_t got = 0, wanted = 4;
    while (got < wanted) {
        ssize_t count = read(c->fd, reply + got, wanted - got);
        if (count <= 0) fail("ZooKeeper refuses a session");
        got += count;
        if (got == 4 && wanted == 4) wanted = 4 + get32(reply);
        if (wanted > sizeof reply) fail("ZooKeeper speaks another protocol");
    }
}

static void zk_receive(struct connection *c) {
    size_t at = 0;
    while (c->in.length - at >= 4) {
        const uint8_t *reply = c->in.at + at;
        size_t length = get32(reply);
        if (c->in.length - at < 4 + length) break;
        int32_t number = get32(reply + 4), error = get32(reply + 16);
        int exists = operation == FILL && error == -110;
        if (number > 0 && c->is_open[number % RING]) {
            if (error && !exists) note_error((uint8_t *)"ZooKeeper error\r\n", 17);
            complete(c, c->started[number % RING], 1, error && !exists);
        }
        at += 4 + length;
    }
    memmove(c->in.at, c->in.at + at, c->in.length -= at);
}

/* --- the loop ------------------------------------------------------------------------------------- */

static int dial(const char *host) {
    char name[64];
    snprintf(name, sizeof name, "%s", host);
    char *colon = strrchr(name, ':');
    if (!colon) fail("HOSTS are ADDRESS:PORT, not %s", host);
    *colon = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    if (inet_pton(AF_INET, name, &address.sin_addr) != 1) fail("HOSTS are ADDRESS:PORT, not %s", host);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) fail("%s: %s", host, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void send_more(struct connection *c) {
    if (protocol == RESP) resp_send(c);
    else
        while (c->under_way < depth && may_issue()) {
            c->under_way++;
            if (protocol == ETCD) etcd_one(c);
            else zk_one(c);
            issued++;
        }
}

static void flush(struct connection *c) {
    while (c->written < c->out.length) {
        ssize_t count = write(c->fd, c->out.at + c->written, c->out.length - c->written);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno != EAGAIN) fail("write: %s", strerror(errno));
        if (count < 0) break;
        c->written += count;
    }
    int is_left = c->written < c->out.length;
    if (!is_left) c->written = c->out.length = 0;
    if (is_left == c->wants_write) return;
    c->wants_write = is_left;
    struct epoll_event event = {.events = EPOLLIN | (is_left ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

static void receive(struct connection *c) {
    for (;;) {
        reserve(&c->in, 64 * 1024);
        size_t room = c->in.room - c->in.length;
        ssize_t count = read(c->fd, c->in.at + c->in.length, room);
        if (count == 0) fail("the server closed the connection");
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) break;
        if (count < 0) fail("read: %s", strerror(errno));
        c->in.length += count;
        if ((size_t)count < room) break;
    }
    time_of_turn = now();
    if (protocol == RESP) resp_receive(c);
    else if (protocol == ETCD) etcd_receive(c);
    else zk_receive(c);
}

/* Processor time of this process, and of those of -p, in seconds. */
static double own_time(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
        (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}
static double time_of(const char *pids) {
    double sum = 0;
    char list[4096], *rest = list;
    snprintf(list, sizeof list, "%s", pids ? pids : "");
    for (char *pid; (pid = strsep(&rest, ",")) && *pid;) {
        char path[64], text[1024] = "";
        snprintf(path, sizeof path, "/proc/%s/stat", pid);
        FILE *file = fopen(path, "r");
        if (!file) fail("no process %s", pid);
        fread(text, 1, sizeof text - 1, file);
        fclose(file);
        char *at = strrchr(text, ')');
        long user = 0, system = 0;
        if (at) sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system);
        sum += (user + system) / (double)sysconf(_SC_CLK_TCK);
    }
    return sum;
}

int main(int count, char **words) {
    if (count < 4) fail("usage: load resp|etcd|zk HOSTS [options] WORD...; its source says more");
    char *hosts[64], *pids = 0;
    int host_count = 0;
    if (!strcmp(words[1], "resp")) protocol = RESP;
    else if (!strcmp(words[1], "etcd")) protocol = ETCD;
    else if (!strcmp(words[1], "zk")) protocol = ZK;
    else fail("no protocol %s", words[1]);
    for (char *host, *rest = words[2]; (host = strsep(&rest, ",")) && host_count < 64;)
        hosts[host_count++] = host;
    optind = 3;
    for (int option; (option = getopt(count, words, "+c:P:t:w:k:d:W:n:p:")) > 0;) switch (option) {
        case 'c': connections = atoi(optarg); break;
        case 'P': depth = atoi(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'w': warm_up = atof(optarg); break;
        case 'k': keys = atoi(optarg); break;
        case 'd': data_bytes = atoi(optarg); break;
        case 'W': replicas = atoi(optarg); break;
        case 'n': limit = atol(optarg); break;
        case 'p': pids = optarg; break;
        default: return 1;
    }
    if (depth > RING / 4 || depth < 1 || connections < 1 || keys < 1) fail("-c, -P or -k is out of bounds");
    if (optind == count) fail("what is to be sent?");
    random_state ^= (uint64_t)(now() * 1e9) << 8 ^ getpid();
    data = malloc(data_bytes + 4096);
    for (int i = 0; i < data_bytes + 4096; i++)
        data[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[random_number() % 64];
    if (protocol == RESP) {
        for (int from = optind, i = optind; i <= count; i++) {
            if (i < count && strcmp(words[i], ";")) continue;
            add_command(words + from, i - from);
            from = i + 1;
        }
        char line[64];
        int digits = snprintf(line, sizeof line, "%d", replicas);
        char wait[128];
        put(&wait_command, wait,
            sprintf(wait, "*3\r\n$4\r\nWAIT\r\n$%d\r\n%s\r\n$4\r\n9000\r\n", digits, line));
    } else {
        const char *names[] = {"put", "get", "sync", "fill"};
        operation = !strcmp(words[optind], "set") ? PUT : -1;
        for (int i = 0; i < 4; i++) if (!strcmp(words[optind], names[i])) operation = i;
        if ((int)operation < 0) fail("no operation %s", words[optind]);
        if (operation == FILL) limit = keys;
    }

    poller = epoll_create1(0);
    struct connection *all = calloc(connections, sizeof *all);
    for (int i = 0; i < connections; i++) {
        struct connection *c = all + i;
        c->fd = dial(hosts[i % host_count]);
        if (protocol == ZK) zk_greet(c);
        if (protocol == ETCD) etcd_greet(c);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
    }
    double begin = now() + (limit ? 0 : warm_up), end = limit ? begin + 3600 : begin + seconds;
    double last_event = now(), own = own_time(), theirs = time_of(pids);
    is_counting = limit > 0;
    for (int i = 0; i < connections; i++) send_more(all + i), flush(all + i);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, 100);
        double time = now();
        if (ready > 0) last_event = time;
        else if (time - last_event > 20) fail("no answer for 20 s");
        if (!is_counting && time >= begin) {
            is_counting = 1;
            own = own_time(), theirs = time_of(pids);
            begin = now(), end = begin + seconds;
        }
        if (is_counting && time >= end) break;
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & ~EPOLLOUT) {
                receive(c);
                send_more(c);
            }
            flush(c);
        }
        if (limit && answered >= limit) break;
    }
    double took = now() - begin;
    own = own_time() - own, theirs = time_of(pids) - theirs;
    long least = all[0].done, most = least, by_host[64] = {0};
    for (int i = 0; i < connections; i++) {
        if (all[i].done < least) least = all[i].done;
        if (all[i].done > most) most = all[i].done;
        by_host[i % host_count] += all[i].done;
    }
    if (protocol == ZK) /* sessions end now, and not in the next run */
        for (int i = 0; i < connections; i++) zk_request(all + i, ZK_CLOSE), flush(all + i);
    printf("{\"count\":%ld,\"seconds\":%.4f,\"perSecond\":%.2f,\"meanMs\":%.4f,\"maxMs\":%.3f,\"errors\":%ld,"
           "\"nulls\":%ld,\"ownCpuSeconds\":%.3f,\"storeCpuSeconds\":%.3f,\"leastOfClients\":%ld,"
           "\"mostOfClients\":%ld,\"byHost\":[",
           counted, took, counted / took, counted ? latency_sum / counted * 1e3 : 0, latency_max * 1e3, errors, nulls,
           own, theirs, least, most);
    for (int i = 0; i < host_count; i++) printf("%s%ld", i ? "," : "", by_host[i]);
    printf("],\"percentiles\":{");
    const char *parts[] = {"1", "5", "10", "20", "30", "40", "50", "60", "70", "75", "80", "85", "90", "95", "98", "99",
                           "99.5", "99.9", "99.99"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        printf("%s\"%s\":%.4f", i ? "," : "", parts[i], counted ? percentile(atof(parts[i])) : 0);
    printf("},\"firstError\":\"");
    for (char *e = first_error; *e; e++) if (*e >= ' ' && *e != '"' && *e != '\\') putchar(*e);
    printf("\"}\n");
    return 0;
}
