"""What a broker is: rules, contracts, storage, messaging and the way to the exchange."""
