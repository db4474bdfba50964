#!/usr/bin/env bash
# Read a topic of Onward from its beginning with Kafka's own console consumer: type and other headers, key, and event.
#
#     CLASSPATH='/path/to/kafka/libs/*' docs/examples/consume.sh 127.0.0.1:9092 bookings [client.properties] [options]
#
# CLASSPATH: the libs/ of a Kafka that you have, or the jars that `onward up` keeps. client.properties, as in Kafka's
# own documentation, says as whom to speak; options go to the console consumer (--max-messages 10, --timeout-ms 5000).
set -euo pipefail
bootstrap=$1 topic=$2
shift 2
config=()
if [ $# -gt 0 ] && [ -f "$1" ]; then
    config=(--command-config "$1")
    shift
fi
exec "${JAVA:-java}" -cp "${CLASSPATH:?name the jars of Kafka}" org.apache.kafka.tools.consumer.ConsoleConsumer \
    --bootstrap-server "$bootstrap" --topic "$topic" --from-beginning ${config[@]+"${config[@]}"} \
    --formatter-property print.headers=true --formatter-property print.key=true "$@"
