// java Post.java URL FILE: post a spec and save the answer, by Java's own client as it is.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;

public class Post {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient(); // asks for HTTP/2 in its first request
        for (int i = 0; i < 3; i++) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofFile(Path.of(arguments[1])))
                .build();
            Path file = Path.of(arguments[2]);
            HttpResponse<Path> answer = client.send(request, HttpResponse.BodyHandlers.ofFile(file));
            System.out.println(answer.statusCode() + " " + answer.version());
        }
    }
}
