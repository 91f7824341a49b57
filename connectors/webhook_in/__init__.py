"""Source: an endpoint for signed webhooks; what arrives is on disk before it is answered."""
