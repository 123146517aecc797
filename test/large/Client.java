import java.net.*;
import java.net.http.*;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;

public class Client {
    static void check(boolean so, Object what) { if (!so) throw new AssertionError(what); }
    public static void main(String[] args) throws Exception {
        var client = HttpClient.newBuilder().connectTimeout(java.time.Duration.ofSeconds(10)).build();
        var random = new Random(1);
        byte[] body = new byte[500_000]; random.nextBytes(body);
        String sum = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body));
        var all = new ArrayList<CompletableFuture<Void>>();
        for (int i = 0; i < 20; i++) {
            int n = i * 20_000 + 1;
            var get = HttpRequest.newBuilder(URI.create("http://10.0.0.5/bytes?" + n)).build();
            all.add(client.sendAsync(get, BodyHandlers.ofByteArray()).thenAccept(r -> check(r.body().length == n, r)));
            var put = HttpRequest.newBuilder(URI.create("http://10.0.0.5/sum")).POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
            all.add(client.sendAsync(put, BodyHandlers.ofString()).thenAccept(r -> check(r.body().equals(sum + " 10.0.0.6"), r.body())));
        }
        for (var one : all) one.get(20, TimeUnit.SECONDS);

        // A selector, both ways at once.
        try (var c = SocketChannel.open(); var selector = Selector.open()) {
            c.configureBlocking(false); c.connect(new InetSocketAddress("10.0.0.5", 7));
            var key = c.register(selector, SelectionKey.OP_CONNECT);
            var out = ByteBuffer.wrap(body); var in = ByteBuffer.allocate(body.length + 1);
            while (true) {
                check(selector.select(10_000) > 0, "select"); selector.selectedKeys().clear();
                if (key.isConnectable()) { check(c.finishConnect(), "connect"); key.interestOps(SelectionKey.OP_READ | SelectionKey.OP_WRITE); continue; }
                if (key.isWritable() && out.hasRemaining()) { c.write(out); if (!out.hasRemaining()) { c.shutdownOutput(); key.interestOps(SelectionKey.OP_READ); } }
                if (key.isReadable() && c.read(in) < 0) break;
            }
            check(Arrays.equals(Arrays.copyOf(in.array(), in.position()), body), "echo of " + in.position());
        }
        try (var s = new Socket("10.0.0.5", 7)) {
            s.setSoTimeout(300);
            try { s.getInputStream().read(); check(false, "no timeout"); } catch (SocketTimeoutException e) { }
            s.getOutputStream().write(7); check(s.getInputStream().read() == 7, "7");
            check(s.getLocalAddress().getHostAddress().equals("10.0.0.6"), s);
        }
        try (var s = new Socket()) {
            s.connect(new InetSocketAddress("10.0.0.5", 9), 5000); check(false, "connected");
        } catch (ConnectException e) { check(e.getMessage().contains("refused"), e); }
        try (var u = new DatagramSocket()) {
            u.setSoTimeout(5000);
            for (int n : new int[] {0, 1, 1000, 20000}) {
                u.send(new DatagramPacket(body, n, InetAddress.getByName("10.0.0.5"), 7));
                var p = new DatagramPacket(new byte[65536], 65536); u.receive(p); check(p.getLength() == n, p.getLength());
            }
        }
        check(InetAddress.getByName("localhost").isLoopbackAddress(), "localhost");
        System.out.println("done");
    }
}
