# One daemon on each client. The client's Docker driver has to allow volumes (plugin "docker" { config { volumes { enabled = true } } }).
job "wharfinger" {
  type = "system"

  group "wharfinger" {
    network {
      mode = "host"
      port "http" { static = 8700 }
    }

    restart {
      attempts = 10
      interval = "5m"
      delay    = "5s"
      mode     = "delay"
    }

    task "wharfinger" {
      driver = "docker"

      config {
        image        = "wharfinger"
        network_mode = "host"
        hostname     = "${attr.unique.hostname}"
        args = [
          "-ip", "${attr.unique.network.ip-address}",
          "--hostname", "${attr.unique.hostname}",
          "--listen", "127.0.0.1:8700",
          "consul://127.0.0.1:8500",
        ]
        volumes      = ["/var/run/docker.sock:/var/run/docker.sock:ro"]
      }

      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
