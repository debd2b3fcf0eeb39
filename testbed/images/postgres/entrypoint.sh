#!/bin/sh
# The first start makes the cluster and its one database; nobody can connect by network till then.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  secret=$(mktemp)
  printf '%s' "${POSTGRES_PASSWORD:?must be set}" > "$secret"
  initdb --username="$POSTGRES_USER" --pwfile="$secret" --auth=scram-sha-256 --encoding=UTF8
  rm "$secret"
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  pg_ctl --wait --options="-c listen_addresses=''" start
  PGPASSWORD=$POSTGRES_PASSWORD createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
  pg_ctl --wait --mode=fast stop
fi
exec postgres -c listen_addresses='*'
