// What plugins usually do: look at the channel, write the user before an upper-case text.
#define IMPORT(name) __attribute__((import_module("hook_v1"), import_name(#name)))
IMPORT(get) int get(int field, void *buffer, int size);
IMPORT(set) int set(int field, const void *bytes, int length);
IMPORT(reject) void reject(int code, const void *reason, int length);

enum { USER = 2, CHANNEL = 12, DATA = 13 };
enum { ALLOW, DENY };

static char channel[256], text[65536];

static int is_room(int length) {
  return length >= 5 && length <= (int)sizeof channel && channel[0] == 'r' && channel[1] == 'o' && channel[2] == 'o' && channel[3] == 'm' &&
         channel[4] == ':';
}

__attribute__((export_name("on_publish"))) int on_publish(void) {
  if (!is_room(get(CHANNEL, channel, sizeof channel))) {
    reject(403, "rooms only", 10);
    return DENY;
  }
  int user = get(USER, text, 256);
  if (user < 0 || user > 256) return DENY;
  text[user] = ':', text[user + 1] = ' ';
  char *data = text + user + 2;
  int room = sizeof text - user - 2, length = get(DATA, data, room);
  if (length > room) {
    reject(106, "too long", 8);
    return DENY;
  }
  for (int i = 0; i < length; i++)
    if (data[i] >= 'a' && data[i] <= 'z') data[i] -= 32;
  set(DATA, text, user + 2 + length);
  return ALLOW;
}
