/* Keeps words out of messages, which are JSON with a text. config: {"words": ["darn", "heck"]}. Whole words in the text become stars,
 * however they are spelled with capitals; the message then says so to clients ("masked": 2) and in its tags. */
#include "zenconn.h"

static zc_text *words; /* In lower case. */
static size_t count;

static char lower(char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }
static bool letter(char c) { return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c < 0; }

ZC_INIT {
  zc_text list = zc_json_field(zc_get(ZC_CONFIG), ZC("words")), rest = list, item;
  while (zc_json_next(&rest, &item)) count++;
  if (count == 0) zc_fail(ZC("config.words is empty: there is nothing to look for"));
  words = zc_alloc(count * sizeof *words);
  rest = list;
  for (size_t i = 0; zc_json_next(&rest, &item); i++) {
    words[i] = ZC_JOIN(zc_json_text(item));
    for (size_t j = 0; j < words[i].length; j++) ((char *)words[i].at)[j] = lower(words[i].at[j]);
  }
}

static bool listed(zc_text word) {
  for (size_t i = 0; i < count; i++) {
    if (words[i].length != word.length) continue;
    size_t j = 0;
    while (j < word.length && lower(word.at[j]) == words[i].at[j]) j++;
    if (j == word.length) return true;
  }
  return false;
}

ZC_ON(publish) {
  zc_text data = zc_get(ZC_DATA), text = zc_json_field(data, ZC("text"));
  if (text.length <= 2) return zc_reject(400, ZC("a message needs a text"));
  int masked = 0;
  char *p = (char *)text.at + 1, *end = p + text.length - 2; /* It is our copy. */
  while (p < end) {
    char *word = p;
    while (p < end && letter(*p)) p++;
    if (listed((zc_text){word, (size_t)(p - word)})) {
      masked++;
      while (word < p) *word++ = '*';
    }
    if (p < end && *p == '\\') p++; /* What follows is part of the escape. */
    if (p < end) p++;
  }
  if (masked == 0) return ZC_PASS;
  zc_text n = zc_decimal(masked);
  while (data.at[data.length - 1] != '}') data.length--; /* Spaces after the object. */
  data.length--;
  zc_set(ZC_DATA, ZC_JOIN(data, ZC(",\"masked\":"), n, ZC("}")));
  zc_set(ZC_TAGS, ZC_JOIN(ZC("{\"masked\":\""), n, ZC("\"}")));
  return ZC_PASS;
}
