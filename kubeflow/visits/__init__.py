"""What a person does with a cluster's volume and metadata: each such visit has a short-lived pod of its own."""
