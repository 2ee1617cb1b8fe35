"""What a person does on the volume of a cluster, and with its metadata: each visit has a short-lived pod of its own."""
