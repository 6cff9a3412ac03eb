// A ZenConn plugin that limits how often clients may do something: token buckets in the store of plugins, one for all nodes. An instance
// takes a few tokens at a time, so that most calls need not ask the store, and remembers who has none left. See its README.
typedef unsigned char byte;
typedef unsigned long long u64;
typedef long long i64;

#define IMPORT(name) __attribute__((import_module("hook_v1"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))
__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_write"))) int fd_write(int fd, const void *parts, int count, void *written);
IMPORT(get) int get(int field, void *buffer, int size);
IMPORT(reject) void reject(int code, const void *reason, int length);
IMPORT(log) void write_log(int level, const void *text, int length);
IMPORT(now_ms) i64 now_ms(void);
IMPORT(result) int result(int index, void *buffer, int size);
IMPORT(kv_get) int kv_get(const void *key, int key_length);
IMPORT(kv_cas) int kv_cas(const void *key, int key_length, const void *value, int length, i64 revision, i64 ttl_ms);

enum { CLIENT = 1, USER = 2, REMOTE_ADDR = 6, CONFIG = 11, CHANNEL = 12, METHOD = 24 };  // Fields.
enum { DENY = 1, PASS = 3, FAULT = -1 };                                                 // Verdicts; the last is none.
enum { NONE = -1, FAILED = -2 };                                                         // Statuses of functions.
enum { TOO_MANY_REQUESTS = 111, LOG_ERROR = 3 };

// ---- Text

static int length_of(const char *s) {
  int n = 0;
  while (s[n]) n++;
  return n;
}

static int equal(const char *a, int length, const char *b) {
  for (int i = 0; i < length; i++)
    if (a[i] != b[i] || !b[i]) return 0;
  return !b[length];
}

// A text that is put together; what does not fit is cut off.
struct text {
  int length;
  char bytes[256];
};

static void add(struct text *t, const char *bytes, int length) {
  for (int i = 0; i < length && t->length < (int)sizeof t->bytes; i++) t->bytes[t->length++] = bytes[i];
}

static void add_string(struct text *t, const char *s) { add(t, s, length_of(s)); }

static void add_number(struct text *t, i64 n) {
  char digits[20];
  int i = sizeof digits;
  do digits[--i] = '0' + n % 10, n /= 10;
  while (n);
  add(t, digits + i, sizeof digits - i);
}

// matches says whether a name is of a pattern, in which * stands for anything.
static int matches(const char *pattern, const char *name, int length) {
  const char *star = 0;
  int i = 0, after = 0;
  while (i < length) {
    if (*pattern == '*') star = ++pattern, after = i;
    else if (*pattern && *pattern == name[i]) pattern++, i++;
    else if (star) pattern = star, i = ++after;
    else return 0;
  }
  while (*pattern == '*') pattern++;
  return !*pattern;
}

// ---- Configuration

enum hook { CONNECT, SUBSCRIBE, PUBLISH, RPC, HOOKS };
enum scope { PER_USER, PER_SESSION, PER_ADDRESS, PER_CHANNEL, SCOPES };
static const char *const hook_names[] = {"connect", "subscribe", "publish", "rpc"};
static const char *const scope_names[] = {"user", "session", "address", "channel"};

enum { MAX_LIMITS = 32, MAX_PATTERN = 255, MAX_REASON = 100 };

static struct limit {
  int on, per;                     // enum hook, enum scope; -1: not said.
  i64 rate, every, burst;          // Tokens, seconds, tokens.
  i64 gap;                         // Microseconds in which one token comes back.
  char pattern[MAX_PATTERN + 1];   // Of the channel, or the method; "": all.
  int pattern_of;                  // CHANNEL, METHOD or 0.
  char reason[MAX_REASON + 1];
} limits[MAX_LIMITS];
static int limit_count;

static char config[65536];
static int at, config_length;

// refuse stops the start of the server. What was printed last is why.
static void refuse(const char *what, const char *detail) {
  struct text t;
  t.length = 0;
  add_string(&t, "config.");
  if (limit_count) add_string(&t, "limits["), add_number(&t, limit_count - 1), add_string(&t, "]");
  else add_string(&t, "limits");
  add_string(&t, what);
  add_string(&t, detail);
  add_string(&t, "\n");
  const void *part[] = {t.bytes, (void *)t.length};
  fd_write(2, part, 1, &t.length);
  __builtin_trap();
}

// The configuration comes from the server, as JSON without spaces that is well formed.
static int peek(void) { return at < config_length ? config[at] : 0; }

static int take(char c) {
  if (peek() != c) return 0;
  at++;
  return 1;
}

// read_string reads a string of at most `most` bytes and ends it with 0. Anything else is refused. Letters beyond ASCII are as they are; of
// those that JSON writes as \u00XX only ASCII's are.
static void read_string(char *to, int most, const char *name) {
  if (!take('"')) refuse(name, " is not a text");
  int n = 0;
  while (peek() != '"') {
    char c = config[at++];
    if (c == '\\') {
      c = config[at++];
      if (c == 'u') {
        int code = 0;
        for (int i = 0; i < 4; i++) {
          char d = config[at++];
          code = code * 16 + (d <= '9' ? d - '0' : (d | 32) - 'a' + 10);
        }
        if (code < 32 || code > 126) refuse(name, " has a character that is none of a text");
        c = code;
      } else if (c != '"' && c != '\\' && c != '/') refuse(name, " has a character that is none of a text");
    }
    if (n == most) refuse(name, " is too long");
    to[n++] = c;
  }
  at++;
  to[n] = 0;
}

static i64 read_number(const char *name) {
  i64 n = 0;
  int begin = at;
  while (peek() >= '0' && peek() <= '9' && at - begin < 10) n = n * 10 + config[at++] - '0';
  if (at == begin || (peek() != ',' && peek() != '}')) refuse(name, " is not a whole number");
  if (n < 1 || n > 1000000) refuse(name, " is not from 1 to 1000000");
  return n;
}

static int read_choice(const char *const *names, int count, const char *name) {
  char word[16];
  read_string(word, sizeof word - 1, name);
  for (int i = 0; i < count; i++)
    if (equal(word, length_of(word), names[i])) return i;
  struct text t;
  t.length = 0;
  add_string(&t, " is not one of ");
  for (int i = 0; i < count; i++) add_string(&t, i ? ", " : ""), add_string(&t, names[i]);
  add(&t, "", 1);
  refuse(name, t.bytes);
  return -1;
}

static void read_limit(struct limit *l) {
  l->on = l->per = -1, l->every = 1;
  if (!take('{')) refuse("", " is not an object");
  while (!take('}')) {
    char name[17];
    name[0] = '.';
    read_string(name + 1, sizeof name - 2, "");
    const char *key = name + 1;
    int n = length_of(key);
    take(':');
    if (equal(key, n, "on")) l->on = read_choice(hook_names, HOOKS, name);
    else if (equal(key, n, "per")) l->per = read_choice(scope_names, SCOPES, name);
    else if (equal(key, n, "rate")) l->rate = read_number(name);
    else if (equal(key, n, "every")) l->every = read_number(name);
    else if (equal(key, n, "burst")) l->burst = read_number(name);
    else if (equal(key, n, "channel")) l->pattern_of = CHANNEL, read_string(l->pattern, MAX_PATTERN, name);
    else if (equal(key, n, "method")) l->pattern_of = METHOD, read_string(l->pattern, MAX_PATTERN, name);
    else if (equal(key, n, "reason")) read_string(l->reason, MAX_REASON, name);
    else refuse(name, " is unknown; a limit has on, per, rate, every, burst, channel, method and reason");
    take(',');
  }
  if (l->on < 0) refuse(".on", " is missing: connect, subscribe, publish or rpc");
  if (!l->rate) refuse(".rate", " is missing");
  if (l->per < 0) l->per = l->on == CONNECT ? PER_ADDRESS : PER_USER;
  int has_channel = l->on == PUBLISH || l->on == SUBSCRIBE;
  if ((l->per == PER_CHANNEL || l->pattern_of == CHANNEL) && !has_channel) refuse("", " is about channels, which only publish and subscribe have");
  if (l->pattern_of == METHOD && l->on != RPC) refuse(".method", " is for rpc");
  if (l->per == PER_SESSION && l->on == CONNECT) refuse(".per", ": a session connects once");
  if (!l->burst) l->burst = l->rate;
  l->gap = l->every * 1000000 / l->rate;
  if (!l->gap) l->gap = 1;
}

EXPORT(_initialize) void initialize(void) {
  config_length = get(CONFIG, config, sizeof config);
  if (config_length > (int)sizeof config) refuse("", ": the configuration is longer than 64 KiB");
  char name[7];
  if (take('{') && !take('}')) {
    read_string(name, sizeof name - 1, "");
    if (!equal(name, length_of(name), "limits") || !take(':') || !take('[')) refuse("", " must be a list, and is all there is");
    while (!take(']')) {
      if (limit_count == MAX_LIMITS) refuse("", " is beyond the 32 that there may be");
      read_limit(&limits[limit_count++]);
      take(',');
    }
    if (!take('}')) limit_count = 0, refuse("", " is all there is in it");
  }
  if (!limit_count) refuse("", " is missing or empty: there is nothing to limit");
}

// ---- What an instance remembers

enum { SETS = 512, WAYS = 4, MAX_KEY = 96 };

// An entry is what is known of one bucket: tokens that were taken from it in advance, or that it is empty. To forget it costs a question.
static struct entry {
  int length;
  char key[MAX_KEY];
  i64 tokens, good_until;  // Microseconds since 1970.
  i64 empty_until;
} entries[SETS][WAYS];

static u64 hash(const char *bytes, int length, u64 h) {
  for (int i = 0; i < length; i++) h = (h ^ (byte)bytes[i]) * 0x100000001b3;
  return h ^ h >> 29;
}

// find returns the entry of a key, a cleared one if there is none.
static struct entry *find(const struct text *key, i64 now) {
  struct entry *set = entries[hash(key->bytes, key->length, 0xcbf29ce484222325) % SETS], *oldest = set;
  for (int i = 0; i < WAYS; i++) {
    struct entry *e = set + i;
    if (e->length == key->length) {
      int j = 0;
      while (j < e->length && e->key[j] == key->bytes[j]) j++;
      if (j == e->length) return e;
    }
    if (e->good_until + e->empty_until < oldest->good_until + oldest->empty_until) oldest = e;
  }
  oldest->length = key->length;
  for (int i = 0; i < key->length; i++) oldest->key[i] = key->bytes[i];
  oldest->tokens = oldest->empty_until = 0, oldest->good_until = now;
  return oldest;
}

// ---- Buckets

// make_key names the bucket that an event takes from. It returns 0 if there is none: the server itself has no address.
static int make_key(struct text *key, int index, const struct limit *l) {
  static const int fields[] = {USER, CLIENT, REMOTE_ADDR, CHANNEL};
  static char value[1024];
  int per = l->per, n = get(fields[per], value, sizeof value);
  if (per == PER_USER && n <= 0) per = PER_ADDRESS, n = get(REMOTE_ADDR, value, sizeof value);  // Who is anonymous.
  if (n <= 0) return 0;
  key->length = 0;
  add_number(key, index);
  add(key, &"usac"[per], 1);
  if (n > (int)sizeof value) n = sizeof value;  // The server allows no names as long as that.
  if (n + key->length < MAX_KEY) {
    add(key, ":", 1);
    add(key, value, n);
    return 1;
  }
  add(key, "#", 1);
  for (u64 seed = 1, i = 0; i < 2; i++, seed = 0x9e3779b97f4a7c15) {
    u64 h = hash(value, n, seed);
    for (int j = 0; j < 16; j++, h >>= 4) add(key, &"0123456789abcdef"[h & 15], 1);
  }
  return 1;
}

// store_failed tells why the store did not do it. The verdict is none, so that on_error decides.
static int store_failed(void) {
  struct text t;
  t.length = 0;
  int n = result(0, t.bytes, sizeof t.bytes);
  t.length = n < 0 ? 0 : n > (int)sizeof t.bytes ? (int)sizeof t.bytes : n;
  write_log(LOG_ERROR, t.bytes, t.length);
  return FAULT;
}

// refill takes tokens out of the bucket in the store: all that this call needs, and up to a quarter of the rest, which are good for a second.
// The store has the time at which the bucket will be full again, in microseconds: a full bucket is none, and needs no entry. It returns
// PASS, DENY with empty_until set, or FAULT.
static int refill(const struct text *key, const struct limit *l, struct entry *e, i64 now) {
  for (int attempt = 0; attempt < 8; attempt++) {
    i64 full_at = 0, revision = 0;
    int status = kv_get(key->bytes, key->length);
    if (status == FAILED) return store_failed();
    if (status != NONE) {
      result(0, &full_at, sizeof full_at);
      result(1, &revision, sizeof revision);
    }
    i64 capacity = l->burst * l->gap;
    if (full_at < now) full_at = now;
    if (full_at > now + capacity) full_at = now + capacity;  // The limit was another one, or another node's clock is ahead.
    i64 there = (now + capacity - full_at) / l->gap;
    if (!there) {
      e->tokens = 0, e->empty_until = full_at + l->gap - capacity;
      return DENY;
    }
    i64 taken = there / 4 ? there / 4 : 1;
    full_at += taken * l->gap;
    status = kv_cas(key->bytes, key->length, &full_at, sizeof full_at, revision, (full_at - now) / 1000 + 1000);
    if (status == FAILED) return store_failed();
    if (status != NONE) {
      e->tokens = taken - 1, e->good_until = now + 1000000;
      return PASS;
    }
  }  // Somebody else was faster: once more.
  e->empty_until = now;  // So many want it that it is too much in any case; the next call asks again.
  return DENY;
}

static int deny(const struct limit *l, i64 wait) {
  struct text t;
  t.length = 0;
  add_string(&t, l->reason[0] ? l->reason : "too many requests");
  add_string(&t, ": try again in ");
  add_number(&t, wait <= 1000000 ? 1 : (wait + 999999) / 1000000);
  add_string(&t, " s");
  reject(TOO_MANY_REQUESTS, t.bytes, t.length);
  return DENY;
}

// check asks every limit of a hook.
static int check(enum hook on) {
  static char name[1024];
  int name_length = -1;
  i64 now = now_ms() * 1000;
  for (int i = 0; i < limit_count; i++) {
    const struct limit *l = &limits[i];
    if ((int)on != l->on) continue;
    if (l->pattern_of) {
      if (name_length < 0) name_length = get(l->pattern_of, name, sizeof name);
      if (name_length > (int)sizeof name || !matches(l->pattern, name, name_length)) continue;
    }
    struct text key;
    if (!make_key(&key, i, l)) continue;
    struct entry *e = find(&key, now);
    if (e->empty_until > now) return deny(l, e->empty_until - now);
    if (e->tokens > 0 && e->good_until > now) {
      e->tokens--;
      continue;
    }
    int verdict = refill(&key, l, e, now);
    if (verdict == DENY) return deny(l, e->empty_until - now);
    if (verdict != PASS) return verdict;
  }
  return PASS;
}

EXPORT(on_connect) int on_connect(void) { return check(CONNECT); }
EXPORT(on_subscribe) int on_subscribe(void) { return check(SUBSCRIBE); }
EXPORT(on_publish) int on_publish(void) { return check(PUBLISH); }
EXPORT(on_rpc) int on_rpc(void) { return check(RPC); }
