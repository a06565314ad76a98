// Exists so that a precompiled header has something to be compiled with: the header is the product.
