module enfilade/pion-sfu

go 1.19
