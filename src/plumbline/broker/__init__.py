"""One broker task: what the image's entry point does around Mosquitto."""
