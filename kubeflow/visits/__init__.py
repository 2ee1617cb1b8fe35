"""What users do with a cluster's volume and metadata: each such visit gets its own short-lived pod."""
