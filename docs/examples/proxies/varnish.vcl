vcl 4.1;

backend board {
  .host = "127.0.0.1";
  .port = "3000";
}

sub vcl_recv {
  # Pass the bytes by the cache, in both directions. Varnish adds X-Forwarded-For by default.
  if (req.method == "GET" && req.http.Accept ~ "text/event-stream") {
    return (pipe);
  }
}

sub vcl_pipe {
  # A connection that is piped stays piped, so no other request may follow on it.
  set bereq.http.Connection = "close";
}
