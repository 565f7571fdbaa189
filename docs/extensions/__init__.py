"""Parts of the site that are made while it is built."""
