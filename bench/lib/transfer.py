"""Moves bytes over TCP and says how long it took and what arrived.

  transfer.py serve PORT [CC]                 answers any number of clients, IPv4 and IPv6
  transfer.py CC SPEC...                      SPEC is down,ADDRESS,PORT,BYTES or up,...; all at once, a line of JSON for each

Every 64 KB of the text begins with their number: what is lost, doubled or misplaced changes the digest.
"""
import errno, hashlib, json, random, socket, struct, sys, threading, time

BLOCK = 65536
filler = random.Random(7).randbytes(BLOCK - 8)


def blocks(n):
    for i in range(0, n, BLOCK):
        yield (struct.pack('>Q', i) + filler)[: n - i]


def digest(n):
    sha = hashlib.sha256()
    for block in blocks(n):
        sha.update(block)
    return sha.hexdigest()


def choose(s, cc):
    if cc:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, cc.encode())


def receive(s):
    sha, n = hashlib.sha256(), 0
    while piece := s.recv(1 << 20):
        sha.update(piece)
        n += len(piece)
    return {'bytes': n, 'sha256': sha.hexdigest()}


def send(s, n):
    for block in blocks(n):
        s.sendall(block)
    s.shutdown(socket.SHUT_WR)


def answer(s):
    with s:
        try:
            ask = s.recv(9, socket.MSG_WAITALL)
            if len(ask) < 9:
                return
            if ask[:1] == b'd':
                send(s, struct.unpack('>Q', ask[1:])[0])
                s.recv(1)
            else:
                s.sendall(json.dumps(receive(s)).encode())
        except OSError as error:
            print(error, file=sys.stderr, flush=True)


def serve(port, cc=''):
    listener = socket.create_server(('', int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
    choose(listener, cc)
    print('ready', flush=True)
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def connect(cc, address, port):
    """A link that loses 5 % loses three questions for a neighbor in a row now and then: EHOSTUNREACH, ask again."""
    for left in 2, 1, 0:
        s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
        choose(s, cc)
        try:
            s.connect((address, port))
            return s
        except OSError as e:
            if e.errno != errno.EHOSTUNREACH or left == 0:
                raise
            s.close()


def transfer(cc, direction, address, port, n):
    n = int(n)
    expected = digest(n)
    s = connect(cc, address, int(port))
    began = time.monotonic()
    s.sendall(direction[:1].encode() + struct.pack('>Q', n))
    if direction == 'down':
        got = receive(s)
    else:
        send(s, n)
        got = json.loads(s.makefile().read())
    took = time.monotonic() - began
    s.close()
    whole = got == {'bytes': n, 'sha256': expected}
    # One write: the threads' lines must not mix.
    sys.stdout.write(json.dumps({'whole': whole, 'seconds': took, **got}) + '\n')
    sys.stdout.flush()


if sys.argv[1] == 'serve':
    serve(*sys.argv[2:])
threads = [threading.Thread(target=transfer, args=(sys.argv[1], *spec.split(','))) for spec in sys.argv[2:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
