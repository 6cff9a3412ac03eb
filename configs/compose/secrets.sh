#!/bin/bash
# secrets.sh CLICKHOUSE_DIR ZENCONN_DIR: makes the password that the server and ClickHouse share, once. docker-compose.yml runs it
# before both, so that there is no default password and nothing to prepare.
#
# ClickHouse gets a user file with the password's SHA-256, the server gets a configuration file with the DSN; neither sees the
# other's folder. When one of the two is gone, both are made anew, and ClickHouse reads its file at its next start.
set -euo pipefail
umask 077

users=$1/zenconn.xml
config=$2/clickhouse.yaml

if [ -e "$users" ] && [ -e "$config" ]; then
  echo 'The password is there already.'
  exit 0
fi

# 256 random bits in hexadecimal, which needs no escaping in a URL, YAML or XML.
password=$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
hash=$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)

# put FILE OWNER: writes the standard input to a file that only its owner can read, whole or not at all.
put() {
  rm -f "$1.new"
  cat >"$1.new"
  chown "$2" "$1.new"
  mv -f "$1.new" "$1"
}

put "$users" "${CLICKHOUSE_OWNER:-101:101}" <<EOF
<clickhouse>
  <users>
    <default remove="remove"/>
    <zenconn>
      <password_sha256_hex>$hash</password_sha256_hex>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </zenconn>
  </users>
</clickhouse>
EOF

put "$config" "${ZENCONN_OWNER:-65532:65532}" <<EOF
# Made by configs/compose/secrets.sh.
audit:
  clickhouse:
    dsn: clickhouse://zenconn:$password@clickhouse:9000/default
EOF

echo 'A new password was made.'
