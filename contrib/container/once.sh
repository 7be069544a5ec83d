#!/bin/sh
# A look at the volume of a stopped container, from a container of its own that has nothing else:
#
#   once.sh VOLUME TYPE [OPTION...]      once.sh mail-queue postfix -p --store /spool/spoolck-store
#
# IMAGE has spoolck in it; RUN is docker or podman.
set -eu
volume=$1 type=$2
shift 2
exec "${RUN:-docker}" run --rm --network none --read-only --cap-drop all \
	--cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add CHOWN --cap-add FSETID --cap-add SETUID --cap-add SETGID --cap-add KILL \
	--volume "$volume:/spool" "${IMAGE:-spoolck}" spoolck scan "$@" "$type:/spool"
