#!/usr/bin/env bash
# Lay out Kafka's data with its administrator, unless that was done, and start it. Needs Kafka's own programs in
# KAFKA_PROGRAMS, the administrator's password in the file PASSWORD, and the settings in the file SETTINGS.
set -euo pipefail
umask 077
password=$(cat "$PASSWORD")
identity="username=\"administrator\" password=\"$password\""
whole=$(mktemp)
{
    cat "$SETTINGS"
    echo "listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required $identity;"
    echo "listener.name.controller.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required $identity user_administrator=\"$password\";"
} >"$whole"
"$KAFKA_PROGRAMS/kafka-storage.sh" format --ignore-formatted --cluster-id "$CLUSTER" --config "$whole" \
    --add-scram "SCRAM-SHA-512=[name=administrator,password=$password]"
exec "$KAFKA_PROGRAMS/kafka-server-start.sh" "$whole"
