// Clients of an HTTP server with the pool of Java's HttpClient, which ask it again and again: Pools.java KIND HOST CLIENTS.
// They print, and are told, what those of pools.py are.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.concurrent.locks.ReentrantReadWriteLock;

class Pools {
  static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  /** Who asks holds it shared, a pause holds it alone. */
  static final ReentrantReadWriteLock ASKING = new ReentrantReadWriteLock(true);

  public static void main(String[] args) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + args[1] + "/")).build();
    for (int i = 0; i < Integer.parseInt(args[2]); i++) {
      int number = i;
      Thread client = new Thread(() -> ask(number, request));
      client.setDaemon(true);
      client.start();
    }
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      if (line.equals("go")) {
        ASKING.writeLock().unlock();
      } else {
        if (!ASKING.isWriteLockedByCurrentThread()) {
          ASKING.writeLock().lock();
        }
        System.out.println("{\"resting\":true}");
      }
    }
  }

  static void ask(int number, HttpRequest request) {
    for (;;) {
      ASKING.readLock().lock();
      long begin = System.currentTimeMillis();
      System.out.printf("{\"client\":%d,\"begin\":%d}%n", number, begin);
      String error = "null";
      try {
        CLIENT.send(request, BodyHandlers.ofString());
      } catch (Exception failure) {
        error = "\"" + failure.toString().replace("\"", "'") + "\"";
      }
      long end = System.currentTimeMillis();
      System.out.printf("{\"client\":%d,\"begin\":%d,\"end\":%d,\"error\":%s}%n", number, begin, end, error);
      ASKING.readLock().unlock();
      try {
        Thread.sleep(50);
      } catch (InterruptedException e) {
        return;
      }
    }
  }
}
