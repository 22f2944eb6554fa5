"""What matters: rules turn Changes and time into notices and incidents."""
