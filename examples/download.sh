#!/bin/sh
# Download a preset with nothing but curl, resume if it was cut off, and check the sum.
#
#   examples/download.sh http://127.0.0.1:8000 resnet18 'seed=42&dtype=BF16' resnet18.safetensors
set -eu
service=$1 preset=$2 query=$3 file=$4
link="$service/v1/models/$preset/model.safetensors?$query"

curl --fail --silent --show-error --continue-at - --output "$file" "$link"

# The service draws the file once more to know its sum; the same link has the same one for ever.
sum=$(curl --fail --silent --head --header 'Want-Repr-Digest: sha-256=1' "$link" |
    tr -d '\r' | sed -n 's/^repr-digest: sha-256=:\(.*\):$/\1/p')
[ "$(openssl dgst -sha256 -binary "$file" | openssl base64)" = "$sum" ]
echo "$file: $(wc -c < "$file") bytes, as they should be"
