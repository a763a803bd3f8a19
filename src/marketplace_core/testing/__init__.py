"""What plugin authors test with: embedded servers, a whole marketplace, contract suites."""
