"""The zoo: the ResNet-SNN family of Zheng et al. (AAAI 2021) as a plug-in of the core."""
