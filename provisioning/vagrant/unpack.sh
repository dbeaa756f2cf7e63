#!/bin/bash
# Runs on a machine, as root, after Vagrant has uploaded the archive:  unpack.sh ROLE MACHINE VARIABLES
# VARIABLES, and SECRETS in the environment, are lines NAME=value in base64, since Vagrant leaves a
# dollar sign in a value to the machine's shell.
set -euo pipefail

role=$1 machine=$2
incoming=/opt/crud-master/incoming

# an upload deletes nothing: start from an empty directory
rm -rf "$incoming"
mkdir -p "$incoming"
tar --extract --no-same-owner --directory "$incoming" --file /tmp/crud-master.tar
rm -f /tmp/crud-master.tar

mapfile -t variables < <(base64 -d <<<"$3" && base64 -d <<<"$SECRETS")
export "${variables[@]}"
unset SECRETS
exec bash "$incoming/provisioning/provision.sh" "$role" "$machine" 2>&1
