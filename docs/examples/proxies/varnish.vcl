vcl 4.1;

backend board {
  .host = "127.0.0.1";
  .port = "3000";
}

sub vcl_recv {
  # Past the cache, byte for byte, in both directions. Varnish adds X-Forwarded-For by itself.
  if (req.method == "GET" && req.http.Accept ~ "text/event-stream") {
    return (pipe);
  }
}

sub vcl_pipe {
  # What is piped once stays piped: no other request may follow on the connection.
  set bereq.http.Connection = "close";
}
