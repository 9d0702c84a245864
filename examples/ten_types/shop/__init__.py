"""A small shop: prices, orders, suppliers, and an HTTP service round them."""
