# Sourced by the second line of ioth-run.js, before Node starts. Node raises the soft limit of open
# files, resets what signals do, marks descriptors close-on-exec and opens missing ones; a shell leaves
# out environment entries whose names it cannot hold ("a.b", exported bash functions) and adds PWD. The
# program is to have all of it as it was, so it is written down here:
#
#   IOTH_START = PID LIMIT SIGBLK SIGIGN FD,FD,...   and, after a newline, the environment with its NULs
#                as newlines and its newlines as \001
#
# Builtins, but for one tr: nothing here may cost much. Names begin with IOTH_, so that no variable
# of the user's is touched.
IOTH_LIMIT= IOTH_BLK=0 IOTH_IGN=0 IOTH_FDS=
while read -r IOTH_KEY IOTH_VALUE; do
  case $IOTH_KEY in
  SigBlk:) IOTH_BLK=$IOTH_VALUE ;;
  SigIgn:) IOTH_IGN=$IOTH_VALUE ;;
  esac
done </proc/self/status
# bash and busybox ignore SIGQUIT (4) while they read, and not what they start.
case $IOTH_IGN in
*[4-7c-f]) IOTH_IGN=$(sed -n 's/^SigIgn:[[:space:]]*//p' /proc/self/status) ;;
esac
while read -r IOTH_KEY IOTH_VALUE IOTH_LINE; do
  case "$IOTH_KEY $IOTH_VALUE $IOTH_LINE" in
  'Max open files '*)
    IOTH_LIMIT=${IOTH_LINE#files}
    IOTH_LIMIT=${IOTH_LIMIT#"${IOTH_LIMIT%%[! ]*}"}
    IOTH_LIMIT=${IOTH_LIMIT%%[ 	]*}
    ;;
  esac
done </proc/self/limits

# Descriptors that are open and not close-on-exec came from outside; the others are the shell's own, and
# so are those of the two files it reads (dash marks them only if their numbers are below 10). 0 is
# looked at without reading: the redirection of read would stand in its place.
for IOTH_FD in /proc/$$/fd/*; do
  IOTH_KEY=${IOTH_FD##*/}
  IOTH_VALUE=
  if [ "$IOTH_KEY" = 0 ]; then
    [ -e "$IOTH_FD" ] && IOTH_VALUE=0
  elif ! [ "$IOTH_FD" -ef "$IOTH_FILE" ] && ! [ "$IOTH_FD" -ef "${IOTH_FILE%/*}/start.sh" ]; then
    { read -r IOTH_LINE IOTH_VALUE && read -r IOTH_LINE IOTH_VALUE; } 2>/dev/null </proc/$$/fdinfo/$IOTH_KEY
  fi
  case $IOTH_VALUE in
  '' | *[2367]??????) ;; # gone, or O_CLOEXEC (octal 2000000)
  *) IOTH_FDS=$IOTH_FDS${IOTH_FDS:+,}$IOTH_KEY ;;
  esac
done

IOTH_START="$$ ${IOTH_LIMIT:-1024} $IOTH_BLK $IOTH_IGN $IOTH_FDS"
# One environment entry holds 128 KB; a larger environment goes as the shell left it.
IOTH_VALUE=$(tr '\0\n' '\n\001' 2>/dev/null </proc/$$/environ) && [ ${#IOTH_VALUE} -lt 30000 ] &&
  IOTH_START="$IOTH_START
$IOTH_VALUE" && unset NODE_EXTRA_CA_CERTS # Node would read them: 20 ms
export IOTH_START
unset IOTH_KEY IOTH_VALUE IOTH_LINE IOTH_FD IOTH_LIMIT IOTH_BLK IOTH_IGN IOTH_FDS

if ! command -v node >/dev/null 2>&1; then
  echo 'ioth-run: cannot start: there is no node in PATH (install Node.js 20 or newer)' >&2
  exit 125
fi
