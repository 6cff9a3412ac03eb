#include "zenconn.h"

/* May this go out, and what does it say? */
ZC_ON(publish) {
  if (zc_get(ZC_DATA).length > 1000) return zc_reject(106, ZC("keep it short"));
  return ZC_PASS;
}
