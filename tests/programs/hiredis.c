/* hiredis: commands of any bytes, a pipeline, a transaction, publish and subscribe. */

#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static redisContext *connect_to(const char *port) {
  redisContext *context = redisConnect("127.0.0.1", atoi(port));
  if (context == NULL || context->err) {
    fprintf(stderr, "no connection to %s\n", port);
    exit(1);
  }
  return context;
}

static redisReply *next_reply(redisContext *context) {
  void *reply = NULL;
  if (redisGetReply(context, &reply) != REDIS_OK) {
    fprintf(stderr, "no reply: %s\n", context->errstr);
    exit(1);
  }
  return reply;
}

static void expect(redisReply *reply, int type, const char *text) {
  if (reply->type != type || strcmp(reply->str, text) != 0) {
    fprintf(stderr, "type %d, %s; not %s\n", reply->type, reply->str, text);
    exit(1);
  }
  freeReplyObject(reply);
}

static void expect_integer(redisReply *reply, long long number) {
  if (reply->type != REDIS_REPLY_INTEGER || reply->integer != number) {
    fprintf(stderr, "type %d, %lld, not %lld\n", reply->type, reply->integer, number);
    exit(1);
  }
  freeReplyObject(reply);
}

int main(int count, char **words) {
  if (count < 4) return 2;
  redisContext *one = connect_to(words[1]), *two = connect_to(words[2]);
  redisContext *three = connect_to(words[3]);

  const char bytes[] = {'a', 0, '\r', '\n', (char)255};
  expect(redisCommand(one, "SET c:%b %b", bytes, sizeof bytes, bytes, sizeof bytes),
         REDIS_REPLY_STATUS, "OK");
  redisReply *reply = redisCommand(two, "GET c:%b", bytes, sizeof bytes);
  if (reply->len != sizeof bytes || memcmp(reply->str, bytes, sizeof bytes) != 0) return 1;
  freeReplyObject(reply);
  reply = redisCommand(two, "GET nothing");
  if (reply->type != REDIS_REPLY_NIL) return 1;
  freeReplyObject(reply);
  expect(redisCommand(one, "INCR c:%b", bytes, sizeof bytes), REDIS_REPLY_ERROR,
         "ERR value is not an integer or out of range");

  for (int i = 1; i <= 1000; i++) redisAppendCommand(one, "INCR c:n");
  for (int i = 1; i <= 1000; i++) expect_integer(next_reply(one), i);

  expect(redisCommand(two, "MULTI"), REDIS_REPLY_STATUS, "OK");
  expect(redisCommand(two, "SET c:m 1"), REDIS_REPLY_STATUS, "QUEUED");
  expect(redisCommand(two, "INCRBY c:n 5"), REDIS_REPLY_STATUS, "QUEUED");
  reply = redisCommand(two, "EXEC");
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) return 1;
  if (reply->element[1]->integer != 1005) return 1;
  freeReplyObject(reply);
  expect(redisCommand(three, "GET c:n"), REDIS_REPLY_STRING, "1005");

  freeReplyObject(redisCommand(three, "SUBSCRIBE c"));
  expect_integer(redisCommand(one, "PUBLISH c hello"), 1);
  reply = next_reply(three);
  if (reply->elements != 3 || strcmp(reply->element[2]->str, "hello") != 0) return 1;
  freeReplyObject(reply);

  redisFree(one);
  redisFree(two);
  redisFree(three);
  return 0;
}
