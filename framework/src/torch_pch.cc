// Exists so that bitlaw_torch_pch has something to compile: its product is the precompiled header.
