#!/bin/sh
# Temporal's two databases, made or brought up to date; may be repeated.
# Reads SQL_HOST, SQL_USER, SQL_PASSWORD, SQL_PLUGIN as temporal-sql-tool does.
set -eu

for store in temporal:temporal visibility:temporal_visibility; do
  export SQL_DATABASE="${store##*:}"
  temporal-sql-tool create
  temporal-sql-tool setup-schema --version 0.0
  temporal-sql-tool update-schema --schema-name "postgresql/v12/${store%%:*}"
done
