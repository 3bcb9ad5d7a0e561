"""The pipeline: takes one post and publishes it to six platforms, once each, on time."""
