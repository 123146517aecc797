import com.sun.net.httpserver.*;
import java.net.*;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.concurrent.Executors;

public class Server {
    public static void main(String[] args) throws Exception {
        var server = HttpServer.create(new InetSocketAddress(80), 100);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.createContext("/bytes", x -> {
            int n = Integer.parseInt(x.getRequestURI().getQuery());
            x.sendResponseHeaders(200, n);
            try (var out = x.getResponseBody()) { out.write(new byte[n]); }
        });
        server.createContext("/sum", x -> {
            try {
                var sum = MessageDigest.getInstance("SHA-256").digest(x.getRequestBody().readAllBytes());
                byte[] text = (HexFormat.of().formatHex(sum) + " " + x.getRemoteAddress().getAddress().getHostAddress()).getBytes();
                x.sendResponseHeaders(200, text.length);
                try (var out = x.getResponseBody()) { out.write(text); }
            } catch (java.security.GeneralSecurityException e) { throw new RuntimeException(e); }
        });
        server.start();
        var echo = java.nio.channels.ServerSocketChannel.open().bind(new InetSocketAddress(7));
        new Thread(() -> {
            try {
                while (true) try (var c = echo.accept()) {
                    var b = java.nio.ByteBuffer.allocateDirect(65536);
                    while (c.read(b.clear()) >= 0) { b.flip(); while (b.hasRemaining()) c.write(b); }
                }
            } catch (Exception e) { e.printStackTrace(); }
        }).start();
        var udp = new DatagramSocket(7);
        new Thread(() -> {
            try {
                var p = new DatagramPacket(new byte[65536], 65536);
                while (true) { p.setLength(65536); udp.receive(p); udp.send(p); }
            } catch (Exception e) { e.printStackTrace(); }
        }).start();
        System.out.println("ready");
    }
}
