//! The throw-away PostgreSQL.

use flowctl_test_support::postgres::Server;

#[test]
fn a_server_is_started_again_with_what_it_had_and_with_tls() {
    for mut server in [Server::start(), Server::start_with_tls()] {
        let url = server.create_database("shop");
        server.psql(&url, "CREATE TABLE orders (id int)");
        server.kill();
        server.restart();
        assert_eq!(server.psql(&url, "SELECT count(*) FROM orders"), "0");
    }
}
