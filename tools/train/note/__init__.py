"""The networks of the note "Image Compression with Autoencoders" (2018), trained as it trained them: its Table 2 again."""
